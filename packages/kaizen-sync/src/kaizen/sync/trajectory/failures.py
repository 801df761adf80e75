"""Read from the result of a call whether it is an error: by what it is made of first, by its words last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from kaizen.sync.expressions import read_expressions
from kaizen.sync.model import Failure
from kaizen.sync.trajectory.json_text import json_or_none

_READ_CHARS = 4_000
_LINE_CHARS = 300
_DEEPEST = 4
_MOST_PARTS = 3

_EXIT = re.compile(
    r"<returncode>(-?\d{1,9})</returncode>|\bexit(?:ed with)? (?:code|status):? ?(-?\d{1,9})\b", re.IGNORECASE
)
_MARKED = re.compile(r"\[error: (.{1,400})\]\s*\Z", re.DOTALL)
# A status in front of a body: `Response status code is 422:` and a JSON object.
_STATUS_LINE = re.compile(r"[\w /:.]{0,40}\b[45]\d\d\b[\w ]{0,30}:?\s*(?=\{)")
_LIST = re.compile(r"\s*\[\s*[\[{\"\d\]]")
_ERROR_LIST = re.compile(r"\s*\[\s*\{.{0,500}?\"(?:message|msg)\"", re.DOTALL)
_XML = re.compile(
    r"<(?:\w+:)?(?:error|fault|exception|errorresponse)\b.{0,2000}?"
    r"<(?:\w+:)?(?:message|faultstring|reason|description|text)[^>]{0,80}>\s*([^<]{1,300})",
    re.IGNORECASE | re.DOTALL,
)
# Pydantic: the argument in a line of its own, then what is wrong with it.
_VALIDATION = re.compile(
    r"\W{0,3}\d{1,3} validation errors? for [^\n]{1,100}\n(\S{1,60})\n\s+([^\[\n]{1,200})"
)
_KINDS = (
    ("rate limit", r"rate.?limit|too many requests|\b429\b|quota"),
    ("timeout", r"timed out|time-?out (?:error|exceeded|after|waiting|reached|expired)|deadline exceeded"),
    ("missing argument", r"missing|required|not provided"),
    ("not found", r"not (?:be )?found|does(?: not|n't) exist|no such|unknown|no module named|\b404\b"),
    ("not permitted", r"permission|denied|forbidden|unauthori[sz]ed|not allowed|\b40[13]\b"),
    (
        "invalid argument",
        r"invalid|must |should be|expected|format|malformed|not a valid|out of range|limit|\b4(?:00|22)\b",
    ),
    ("refused in this state", r"cannot|can't|can not|already|in progress|busy|conflict|pending|\b409\b"),
    (
        "unavailable",
        r"unavailable|connection (?:refused|reset|error)|(?:http|status|code)\W{0,3}50\d\b|^50\d\b",
    ),
)
_KIND_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Keys, in small letters with `_` between their words.
_ERROR_KEY = re.compile(
    r"(?:\w+_)?(?:errors?|err|exceptions?|faults?|violations?|problems?)(?:_(?:messages?|descriptions?|details?|info))?"
)
_ERROR_NAME = re.compile(
    r"[\w.#:]{0,80}(?:Error|Exception|Fault|Invalid\w{0,40}|NotFound|Missing|Denied|Conflict)"
)


def read_failure(result: str) -> Failure | None:
    """Return the error that a result is; None if it is not one, or does not say so by itself."""
    head = result[:_READ_CHARS]
    if code := _EXIT.search(head) or _EXIT.search(result[-_LINE_CHARS:]):
        failed = int(code[1] or code[2]) != 0
        return _of_output(result) if failed else None
    if marked := _MARKED.search(result[-_READ_CHARS:]):
        return _failure(marked[1], marked[1])
    status_line = _STATUS_LINE.match(head)
    body = result[status_line.end() :] if status_line else result
    if body.lstrip()[:1] == "{" or _ERROR_LIST.match(body):
        value = json_or_none(body)
        if status_line and isinstance(value, Mapping):
            said = _text(value)
            return _failure(said or status_line[0], said if said in result else status_line[0])
        if value is not None:
            return _of_value(value, result)
    if _LIST.match(body):
        return None
    if found := _VALIDATION.match(head):
        said = f"{found[1]}: {found[2].strip()}"
        return _failure(said, found[2])
    if found := _XML.search(head):
        return _failure(found[1], found[1], is_sure=False)
    if _expression("begins").match(head):
        line = _last_error_line(head) if "Traceback" in head else _first_line(head)
        return _failure(line, line)
    return None


def read_refusal(result: str, names: Iterable[str]) -> Failure | None:
    """Return the refusal that a short result is, if it says in prose what one of these arguments must be."""
    text = _prose(result)
    alternatives = "|".join(re.escape(name.replace("_", " ")) for name in names)
    is_about = alternatives and re.search(rf"\b(?:{alternatives})\b", text.replace("_", " "))
    return _failure(text, text, is_sure=False) if is_about and _expression("refuses").search(text) else None


def may_be_refusal(result: str) -> Failure | None:
    """Return the refusal that a short result may be; what followed it must show whether it is one."""
    text = _prose(result)
    return _failure(text, text, is_sure=False) if text and _expression("may_refuse").search(text) else None


def _prose(result: str) -> str:
    """Return a short result that is a text, or holds one and says nothing else; empty for all others."""
    text = result.strip() if len(result) <= _READ_CHARS else ""
    if text[:1] in ("{", "["):
        value = json_or_none(text)
        text = _only_text(value) if isinstance(value, Mapping) else ""
    is_sentence = len(text) <= _LINE_CHARS and text[:1] != "<" and "\n" not in text
    return text if is_sentence else ""


def _only_text(value: Mapping[str, Any]) -> str:
    """Return the one sentence of an object that says little else; empty if it holds more."""
    sentences = [each for each in _leaves(value) if isinstance(each, str) and len(each.split()) > 2]
    others = [each for each in value.values() if isinstance(each, Mapping | list) and each]
    return _text(value) or sentences[0] if len(sentences) == 1 and len(others) <= 1 else ""


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    if parts is None:
        yield value
    elif depth < _DEEPEST:
        for part in parts:
            yield from _leaves(part, depth + 1)


@cache
def _expression(name: str) -> re.Pattern[str]:
    return re.compile("|".join(read_expressions("trajectory/failures.toml")[name]), re.IGNORECASE)


def _keys(name: str) -> tuple[str, ...]:
    return read_expressions("trajectory/failures.toml", "keys")[name]


def _failure(message: str, line: str, *, is_sure: bool = True) -> Failure:
    message = _without_prefix(message)[:_LINE_CHARS]
    kind = next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(message)), "error")
    return Failure(kind=kind, message=message, line=line.strip()[:_LINE_CHARS], is_sure=is_sure)


def _of_output(output: str) -> Failure:
    """Return the error of a program that says by its exit code that it failed."""
    line = _last_error_line(output[-_READ_CHARS:])
    if not _expression("error_line").search(line):
        # grep finds nothing, diff finds something: no error is said.
        return Failure(kind="exit code", message="", line=line[:_LINE_CHARS])
    return _failure(line, line)


def _of_value(value: Any, result: str) -> Failure | None:
    message, is_sure = _message_of(value)
    return _failure(message, message if message in result else result, is_sure=is_sure) if message else None


def _message_of(value: Any, depth: int = 0) -> tuple[str, bool]:
    """Return the message of an error that is JSON, and whether its form says that it is one.

    Empty if it is not an error.
    """
    if isinstance(value, list):
        return _texts(value) if _are_errors(value) else "", True
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return "", False
    keys = {_CAMEL.sub("_", key).lower(): part for key, part in value.items()}
    for key, error in keys.items():
        if _ERROR_KEY.fullmatch(key) and error and isinstance(error, str | list | Mapping | bool):
            return _joined(_text(value), _texts(error)) or key, True
    if _is_marked(keys):
        return _joined(_text(value), _texts(keys.get("errors"))) or "error", True
    if isinstance(detail := keys.get("detail"), list) and _are_errors(detail):
        return _texts(detail), True
    if set(keys) <= {*_keys("messages"), *_keys("about")} and (said := _text(value)):
        names = [keys.get(key) for key in ("__type", "code", "type", "error_code")]
        is_named = any(isinstance(name, str) and _ERROR_NAME.fullmatch(name) for name in names)
        if is_named or _expression("refuses").search(said):
            return said, is_named
    for key, part in keys.items():
        if (key in _keys("wrappers") or len(keys) == 1) and isinstance(part, Mapping):
            return _message_of(part, depth + 1)
    return "", False


def _is_marked(keys: Mapping[str, Any]) -> bool:
    """Return whether a flag, a state or a code of an object says that the call failed."""
    if any(keys.get(key) is False for key in _keys("false_if_refused")) or keys.get("is_error") is True:
        return True
    # A thing that has an id may have been rejected without the call being so.
    is_thing = any(key == "id" or key.endswith("_id") for key in keys)
    states = {str(keys.get(key)).lower() for key in _keys("states")}
    if "error" in states or (not is_thing and not states.isdisjoint(_keys("failed"))):
        return True
    return any(_is_failed_code(keys.get(key)) for key in _keys("codes"))


def _is_failed_code(code: Any) -> bool:
    if isinstance(code, str) and (found := re.fullmatch(r"([45]\d\d)\b[\w ]{0,40}", code)):
        return bool(found)
    # JSON-RPC keeps these for errors.
    return isinstance(code, int) and (400 <= code < 600 or -32_768 <= code <= -32_000)


def _are_errors(value: list[Any]) -> bool:
    """Return whether a list holds objects with a message each, and where in the arguments it belongs."""
    return bool(value) and all(
        isinstance(part, Mapping)
        and _text(part)
        and (isinstance(part.get("path", part.get("loc")), list) or "errorCode" in part or "keyword" in part)
        for part in value
    )


def _texts(error: object) -> str:
    """Return what an error says, of several the first few."""
    if isinstance(error, str):
        return error
    if isinstance(error, list):
        return "; ".join(dict.fromkeys(filter(None, map(_texts, error[:_MOST_PARTS]))))
    if isinstance(error, Mapping):
        if said := _text(error):
            return said
        # By the names of arguments: {"email": ["is invalid"]}.
        fields = ((key, _texts(part)) for key, part in list(error.items())[:_MOST_PARTS])
        return "; ".join(said if key.startswith("_") else f"{key}: {said}" for key, said in fields if said)
    return ""


def _text(error: Mapping[str, Any]) -> str:
    """Return the message of an object, with the argument that it is about if it does not name it."""
    keys = {_CAMEL.sub("_", key).lower(): part for key, part in error.items()}
    said = _first_string(keys, _keys("messages"))
    if not said and isinstance(inner := keys.get("error"), Mapping):
        return _text(inner)
    place = next((found for key in _keys("places") if (found := _place(keys.get(key)))), "")
    if not said and place:
        said = _first_string(keys, ("code", "type"))
    return f"{place}: {said}" if said and place and place.lower() not in said.lower() else said


def _first_string(keys: Mapping[str, Any], names: Iterable[str]) -> str:
    return next(filter(None, (value for name in names if isinstance(value := keys.get(name), str))), "")


def _place(value: object) -> str:
    """Return the name of the argument in a path such as `["body", "tax"]` or `/data/attributes/tax`."""
    if isinstance(value, Mapping):
        value = value.get("pointer") or value.get("parameter")
    parts = value if isinstance(value, list) else re.split(r"[/.]", value) if isinstance(value, str) else []
    names = [part for part in parts if isinstance(part, str) and re.fullmatch(r"[A-Za-z_]\w*", part)]
    return names[-1] if names else ""


def _joined(said: str, inner: str) -> str:
    """Return what an object says of its error and what the error says itself, but nothing twice."""
    if not said or said in inner:
        return inner or said
    return f"{said.rstrip('.: ')}: {inner}" if inner and inner not in said else said


def _lines(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.splitlines()))


def _first_line(text: str) -> str:
    """Return the first line that says more than that there is an error."""
    lines = list(_lines(text))
    return next((line for line in lines if _without_prefix(f"{line}\n")), lines[0])


def _without_prefix(text: str) -> str:
    """Return a message without what stands before it: that there is an error, and last of all its class."""
    prefix = _expression("prefix").match(text)
    start = prefix.end() if prefix else 0
    classes = [found.end() for found in _CLASS.finditer(text, start)]
    return text[max([start, *classes]) :].strip()


_CLASS = re.compile(r"(?:^|[\s.])\w{0,60}(?:Error|Exception): ")


def _last_error_line(text: str) -> str:
    lines = [line for line in _lines(text) if not line.startswith("<")]
    is_error = _expression("error_line").search
    return next((line for line in reversed(lines) if is_error(line)), lines[-1] if lines else text)
