"""Find the answer in what a model said: without its thinking, and nothing of it that was cut off.

Providers' structured output is not kept by every model, and json_repair alone takes drafts and half words for
an answer; so complete JSON is looked for first, and repaired only if it is closed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from kaizen.sync.cleaning import clean_text, clean_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

MALFORMED = "malformed"
CUT_OFF = "cut off"

# Repairing takes time that grows with the square of the length.
_REPAIRABLE_CHARS = 40_000
_MOST_FAILURES = 500  # each may have read to the end of the text
_EXCERPT_CHARS = 100

_KINDS = r"(?:seed:|budget:|ant)?(?:think(?:ing)?|thoughts?|reasoning|reflection|analysis|scratchpad)"
_MARK = re.compile(
    rf"(?i)(?P<opens><{_KINDS}(?:\s[^<>]{{0,100}})?>|\[think\]|◁think▷|<\|(?:begin_of_)?(?:thought|think)\|>)"
    rf"|</{_KINDS}\s?>|\[/think\]|◁/think▷|<\|(?:end_of_|/)(?:thought|think)\|>"
)
# OpenAI's harmony format: only the channel `final` is the answer.
_CHANNEL = "<|channel|>"
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]{0,100}<\|message\|>")
_SPECIAL = re.compile(r"<\|(?:end|return|call|start|message)\|>")
_FENCED = re.compile(r"\A```\w*\s(.*?)\s*```\Z", re.DOTALL)
# Strings are tokens, since brackets in them close nothing.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """The entries of an answer's list that fit, how many were dropped, and what is wrong if none fit.

    `is_cut` says that more entries were to come.
    """

    entries: list[Any] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    is_cut: bool = False

    @property
    def is_whole(self) -> bool:
        return not self.problem and not self.is_cut

    def followed_by(self, found: Found) -> Found:
        """Return what was found with what a second answer adds; models repeat what they gave before."""
        added = [entry for entry in found.entries if entry not in self.entries]
        return replace(found, entries=[*self.entries, *added], dropped=self.dropped + found.dropped)


class _Form(NamedTuple):
    """What an answer looks like: an object with one list, whose entries have these keys."""

    answer: type[BaseModel]
    key: str
    entry: type[BaseModel]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, answer: type[BaseModel]) -> _Form:
        [(key, info)] = answer.model_fields.items()
        entry = get_args(info.annotation)[0]
        return cls(answer, key, entry, tuple(entry.model_fields))

    def entries(self, value: Any, *, is_whole: bool = False, depth: int = 2) -> list[Any] | None:
        """Return the entries that a JSON value contains; None if it does not have the form."""
        if isinstance(value, dict) and self.key in value:
            return self._listed(value[self.key])
        if self.is_entry(value):
            return [value]
        if isinstance(value, list) and (all(map(self.is_entry, value)) if value else is_whole):
            return value
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        found = None
        for inner in inside if depth else ():
            entries = self.entries(inner, depth=depth - 1)
            found = found if entries is None else entries
        return found

    def is_entry(self, value: Any) -> bool:
        # One key alone may be anybody's: many objects have a `content`.
        return isinstance(value, dict) and self.keys[0] in value and len(value.keys() & set(self.keys)) > 1

    def _listed(self, value: Any) -> list[Any] | None:
        if isinstance(value, str):
            # Some models write the list as a text of JSON.
            return self.entries(_complete(value), is_whole=True)
        if value is None:
            return []
        return [value] if isinstance(value, dict) else value if isinstance(value, list) else None


class _Place(NamedTuple):
    """Entries that were found, and where in the text they stand."""

    start: int
    end: int
    entries: list[Any]


def find_answer(text: str, answer: type[BaseModel], *, is_cut: bool = False) -> Found:
    """Find the last complete object of that type in a text; `is_cut` says that the text was cut off.

    Entries that do not fit their type are dropped and counted, unless none fits.
    """
    text = clean_text(text)
    if not text.strip():
        return Found(problem="an empty answer", is_cut=is_cut)
    form = _Form.of(answer)
    whole = _complete(text)
    entries = form.entries(whole, is_whole=True)
    if entries is not None:
        return _checked(entries, form)
    if isinstance(whole, dict):
        return Found(problem=_problem(whole, answer))
    spoken = without_reasoning(text)
    if not spoken.strip():
        return Found(problem="thinking and no answer", is_cut=is_cut)
    # The last, since drafts come before what is meant.
    last = _last_complete(spoken, form)
    opening = _last_opening(spoken, form)
    if opening and not (last and _stands_after(last, opening, spoken)):
        return _from_opening(spoken[opening.start() :], opening.end() - opening.start(), form, is_cut)
    if last:
        return _checked(last.entries, form)
    return _nothing(spoken, answer, is_cut=is_cut)


def find_at_end(text: str, answer: type[BaseModel]) -> Found:
    """Find an answer that ends a model's thinking; one in its middle was a draft."""
    text = clean_text(text).rstrip().removesuffix("```").rstrip()
    form = _Form.of(answer)
    last = _last_complete(text, form)
    if last and last.end == len(text):
        return _checked(last.entries, form)
    return Found(problem="thinking and no answer")


def without_reasoning(text: str) -> str:
    """Cut what a model thinks aloud: between marks, before a closing mark alone, after an open one."""
    if _CHANNEL in text:
        final = list(_FINAL.finditer(text))
        text = _SPECIAL.split(text[final[-1].end() :])[0] if final else ""
    spoken: list[str] = []
    start, thinks = 0, False
    for mark in _MARK.finditer(text):
        if mark["opens"]:
            if not thinks:
                spoken.append(text[start : mark.start()])
            thinks = True
        else:
            if not thinks:
                spoken.clear()
            start, thinks = mark.end(), False
    return "".join(spoken if thinks else [*spoken, text[start:]])


def _complete(text: str) -> Any:
    """Return the JSON value that a text is, fenced or not; None if it is not one."""
    text = text.strip()
    fenced = _FENCED.match(text)
    try:
        # Not strict: models put raw line breaks into strings.
        return json.loads(fenced[1] if fenced else text, strict=False)
    except (ValueError, RecursionError):
        return None


def _values(text: str) -> Iterator[tuple[int, int, Any]]:
    """Yield each complete JSON object or list that stands in no other, with its start and end."""
    decoder, end, failures = json.JSONDecoder(strict=False), 0, 0
    for opening in re.finditer(r"[{\[]", text):
        if opening.start() < end:
            continue
        try:
            value, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            failures += 1
            if failures > _MOST_FAILURES:
                return
        else:
            yield opening.start(), end, value


def _last_complete(text: str, form: _Form) -> _Place | None:
    found = None
    for start, end, value in _values(text):
        entries = form.entries(value)
        if entries is not None:
            found = _Place(start, end, entries)
    return found


def _last_opening(text: str, form: _Form) -> re.Match[str] | None:
    """Find where the last list of entries begins, in its object or bare."""
    keys = "|".join(form.keys)
    opens = rf"\{{\s*[\"']{form.key}[\"']\s*:\s*\[|\[(?=\s*\{{\s*[\"'](?:{keys})[\"']\s*:)"
    found = None
    for match in re.finditer(opens, text):
        found = match
    return found


def _stands_after(place: _Place, opening: re.Match[str], text: str) -> bool:
    """Return whether complete entries are not just a part of the list that begins there."""
    if place.start <= opening.start():
        return opening.start() < place.end
    closed = _closes_at(text, opening.start())
    return closed is not None and closed <= place.start


def _closes_at(text: str, start: int) -> int | None:
    """Return where the bracket at `start` is closed; None if the text ends before."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth == 0:
            return token.end()
    return None


def _from_opening(text: str, entries_at: int, form: _Form, is_cut: bool) -> Found:
    """Read a list whose JSON is broken: repaired if it is closed, else its complete entries."""
    closed = _closes_at(text, 0)
    if closed is not None and not is_cut:
        return _repaired(text[:closed], form)
    decoder, entries, position = json.JSONDecoder(strict=False), [], entries_at
    while match := re.compile(r"\s*,?\s*(?=\{)").match(text, position):
        try:
            entry, position = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            break
        entries.append(entry)
    lacks_brackets_only = not text[position:].strip(" \t\r\n]}`")
    if not entries:
        return Found(problem=f"it was cut off in its first entry of `{form.key}`", is_cut=True)
    found = _checked(entries, form)
    return Found(found.entries, found.dropped, found.problem, is_cut or not lacks_brackets_only)


def _repaired(text: str, form: _Form) -> Found:
    # Here, since few answers need it.
    import json_repair

    value: Any = None
    if len(text) <= _REPAIRABLE_CHARS:
        try:
            value = json_repair.loads(text)
        except RecursionError:
            value = None
    entries = form.entries(value)
    return _nothing(text, form.answer) if entries is None else _checked(entries, form)


def _checked(entries: list[Any], form: _Form) -> Found:
    """Keep the entries that fit; name the first problem if there are entries and none fits."""
    import pydantic

    fitting: list[Any] = []
    problem = ""
    for number, entry in enumerate(entries):
        try:
            fitting.append(form.entry.model_validate(clean_value(entry)))
        except pydantic.ValidationError as error:
            problem = problem or _first(error, form.key, number)
    dropped = len(entries) - len(fitting)
    if dropped and not fitting:
        return Found(problem=problem)
    return Found(fitting, Counter({MALFORMED: dropped} if dropped else {}))


def _nothing(text: str, answer: type[BaseModel], *, is_cut: bool = False) -> Found:
    if is_cut:
        return Found(problem="it was cut off before an answer was complete", is_cut=True)
    if "{" in text:
        *_, value = (value for _, _, value in [(0, 0, {}), *_values(text)])
        return Found(problem=_problem(value, answer))
    return Found(problem=f"no JSON in it: {' '.join(text.split())[:_EXCERPT_CHARS]!r}")


def _problem(value: Any, answer: type[BaseModel]) -> str:
    import pydantic

    try:
        answer.model_validate(value)
    except pydantic.ValidationError as error:
        return _first(error)
    return "no JSON object of the schema in it"


def _first(error: Any, *where: object) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, [*where, *problem['loc']])) or 'the answer'}: {problem['msg']}"
