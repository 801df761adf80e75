"""The calls of a conversation in order, each with what came back: a result, or the error that it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trajectory.json_text import json_or_none, load_json

if TYPE_CHECKING:
    from kaizen.sync.model import Message, ToolCall

# What else is called a tool or an argument is no name, and may be an instruction.
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,63}", re.ASCII)
_PROGRAM_ARGUMENTS = frozenset({"command", "commands", "cmd", "code", "script", "keystrokes"})
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_READ_CHARS = 4_000
_LINE_CHARS = 300

_BEGINS = re.compile(
    r"\W{0,3}(?i:an error|error|err|exception|fatal|traceback|failed|failure|fault|invalid|unable to|cannot|"
    r"can't|could not|permission denied|access denied|denied|refused|rejected|unauthori[sz]ed|forbidden|"
    r"bad request|not (?:found|allowed|permitted|supported|accepted|valid)|unsupported|illegal|conflict|"
    r"no such|timed out|timeout|rate limit|http(?:/[\d.]+)?[ :]{0,2}[45]\d\d|"
    r"[45]\d\d (?:error|bad|client|server|[a-z]+:)|(?:status|code)\W{1,3}[45]\d\d|"
    r"(?:ok|success|valid|accepted)\W{1,3}(?:false|no)|"
    r"unknown (?:tool|function|argument|value|parameter|field))\b|[\w.]{0,60}(?:Error|Exception)\b"
)
_EXIT = re.compile(
    r"<returncode>(-?\d{1,9})</returncode>|\bexit(?:ed with)? (?:code|status):? ?(-?\d{1,9})\b", re.IGNORECASE
)
_MARKED = re.compile(r"\[error: (.{1,400})\]\s*\Z", re.DOTALL)
_ERROR_LINE = re.compile(
    r"\berror\b|\b\w{1,60}(?:error|exception|configured|notfound)\b|not found|no such|denied|fatal:",
    re.IGNORECASE,
)
# What stands before the message: that there is an error, and last of all its class.
_PREFIX = re.compile(r"\W{0,3}(?:an )?(?:error|exception|fatal)[\w ]{0,20}(?:[:\n]|- )\s{0,9}", re.IGNORECASE)
_CLASS = re.compile(r"(?:^|[\s.])\w{0,60}(?:Error|Exception): ")
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
_PASSING = frozenset({"rate limit", "timeout", "unavailable"})
_ERROR_KEYS = ("error", "errors", "exception", "error_message", "err", "fault", "problem", "violations")
_MESSAGE_KEYS = ("message", "detail", "details", "msg", "reason", "description", "hint", "title", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error: its kind, in words of ours; what it says, in its own; and the line to quote."""

    kind: str
    message: str
    line: str

    @property
    def is_passing(self) -> bool:
        """Return whether the same call may succeed a little later."""
        return self.kind in _PASSING


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One call. `arguments` is None if they are not a JSON object; `result` if nothing came back.

    `position` is that of its message in the conversation, `spelling` is the same for the same arguments, and
    `quote` is the call as it can be quoted.
    """

    number: int
    position: int
    tool: str
    arguments: Mapping[str, Any] | None
    spelling: str
    quote: str
    result: str | None = None
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.result is not None and self.failure is None

    @property
    def is_program(self) -> bool:
        """Return whether it runs a program of the agent's own writing, which is another one each time."""
        return self.arguments is None or not _PROGRAM_ARGUMENTS.isdisjoint(self.arguments)


@cache
def expression(name: str) -> re.Pattern[str]:
    """Return the expression of that name in `words.toml`; case does not count."""
    [found] = read_expressions("generate/offline/words.toml")[name]
    return re.compile(found, re.IGNORECASE)


def is_name(text: str) -> bool:
    """Return whether a tip may call a tool or an argument by this name."""
    return _NAME.fullmatch(text) is not None


def is_read_only(tool: str) -> bool:
    """Return whether the name of a tool says that it changes nothing; a success says nothing about that."""
    words = _WORDS.findall(re.split(r"[.:]|__", tool)[-1])
    return bool(words) and expression("reads").fullmatch(words[0].casefold()) is not None


def read_calls(messages: tuple[Message, ...]) -> list[Call]:
    """Return the calls of one conversation; a result goes with its call by id, else by order."""
    return _read_calls(_Same(messages))


class _Same:
    """Messages that equal themselves alone: to compare all of them would take longer than to read them."""

    __slots__ = ("messages",)

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.messages = messages

    def __hash__(self) -> int:
        return id(self.messages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.messages is other.messages


# A conversation is read to measure it, to learn from it and to keep evidence, soon one after the other.
@lru_cache(maxsize=128)
def _read_calls(conversation: _Same) -> list[Call]:
    calls: list[Call] = []
    waiting: dict[str, Call] = {}
    for position, message in enumerate(conversation.messages):
        if message.role == "tool":
            call_id = message.tool_call_id if message.tool_call_id in waiting else next(iter(waiting), None)
            if call_id is not None:
                call = waiting.pop(call_id)
                call.result = message.content
                call.failure = read_failure(message.content) or _refusal(call)
            continue
        waiting.clear()
        for asked in message.tool_calls:
            if is_name(asked.name):
                call = _call(asked, len(calls), position)
                calls.append(call)
                waiting[asked.id or f"#{call.number}"] = call
    return calls


def _call(asked: ToolCall, number: int, position: int) -> Call:
    try:
        value = load_json(asked.arguments)
    except ValueError:
        value = None
    is_object = isinstance(value, dict)
    return Call(
        number=number,
        position=position,
        tool=asked.name,
        arguments=value if is_object else None,
        spelling=json.dumps(value, sort_keys=True) if is_object else asked.arguments.strip(),
        quote=f"{asked.name}({asked.arguments})",
    )


def read_failure(result: str) -> Failure | None:
    """Return the error that a result is; None where it is none, or does not say so."""
    head = result[:_READ_CHARS]
    if code := _EXIT.search(head) or _EXIT.search(result[-_LINE_CHARS:]):
        failed = int(code[1] or code[2]) != 0
        return _of_output(result) if failed else None
    if marked := _MARKED.search(result[-_READ_CHARS:]):
        return _failure(marked[1], marked[1])
    if head.lstrip()[:1] == "{":
        value = json_or_none(result)
        if isinstance(value, dict):
            message = _message_of(value)
            return _failure(message, _line_with(result, message)) if message else None
    if _BEGINS.match(head):
        line = _last_error_line(head) if "Traceback" in head else _first_line(head)
        return _failure(line, line)
    return None


def _refusal(call: Call) -> Failure | None:
    """Return the refusal that a short result is if it says in prose what an argument must be."""
    text = (call.result or "").strip()
    if not text or len(text) > _LINE_CHARS or text[0] in "{[<":
        return None
    names = "|".join(re.escape(name.replace("_", " ")) for name in call.arguments or ())
    about = expression("refuses")
    found = names and re.search(rf"\b(?:{names})\b", text.replace("_", " ")) and about.search(text)
    return _failure(text, text) if found else None


def _failure(message: str, line: str) -> Failure:
    message = _without_prefix(message)[:_LINE_CHARS]
    kind = next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(message)), "error")
    return Failure(kind=kind, message=message, line=line.strip()[:_LINE_CHARS])


def _of_output(output: str) -> Failure:
    """Return the error of a program that says by its exit code that it failed."""
    line = _last_error_line(output[-_READ_CHARS:])
    if not _ERROR_LINE.search(line):
        # grep finds nothing, diff finds something: no error is said.
        return Failure(kind="exit code", message="", line=line[:_LINE_CHARS])
    return _failure(line, line)


def _message_of(value: Mapping[str, Any]) -> str:
    """Return the message of an error that is a JSON object; empty where the object is none."""
    for key in _ERROR_KEYS:
        if error := value.get(key):
            return _text(error) or _text(value) or key
    is_error = any(value.get(key) is False for key in ("success", "ok", "valid", "accepted"))
    is_error = is_error or value.get("isError") is True
    said = {str(value.get(key)).casefold() for key in ("status", "result", "type", "outcome")}
    is_error = is_error or not said.isdisjoint(
        ("error", "failed", "failure", "refused", "rejected", "denied")
    )
    codes = (value.get(key) for key in ("status", "status_code", "statusCode", "code"))
    is_error = is_error or any(isinstance(code, int) and 400 <= code < 600 for code in codes)
    return (_text(value) or "error") if is_error else ""


def _text(error: Any) -> str:
    if isinstance(error, list):
        error = error[0] if error else ""
    if isinstance(error, str):
        return error
    if isinstance(error, Mapping):
        return next((error[key] for key in _MESSAGE_KEYS if isinstance(error.get(key), str)), "")
    return ""


def _line_with(result: str, message: str) -> str:
    return message if message in result else result


def _lines(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.splitlines()))


def _first_line(text: str) -> str:
    """Return the first line that says more than that there is an error."""
    lines = list(_lines(text))
    return next((line for line in lines if _without_prefix(f"{line}\n")), lines[0])


def _without_prefix(text: str) -> str:
    start = prefix.end() if (prefix := _PREFIX.match(text)) else 0
    classes = [found.end() for found in _CLASS.finditer(text, start)]
    return text[max([start, *classes]) :].strip()


def _last_error_line(text: str) -> str:
    lines = [line for line in _lines(text) if not line.startswith("<")]
    return next((line for line in reversed(lines) if _ERROR_LINE.search(line)), lines[-1] if lines else text)
