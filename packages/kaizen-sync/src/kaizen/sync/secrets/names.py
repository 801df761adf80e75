"""Find secrets beside names such as `password`, in whatever way a format puts the two together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache, partial
from typing import Literal, NamedTuple

from kaizen.sync.expressions import any_of, read_expressions
from kaizen.sync.secrets.tables import Tables
from kaizen.sync.secrets.values import is_password, is_random

Strength = Literal["strong", "weak", "numbers"]

KIND = "Secret Keyword"

_FILE = "secrets/names.toml"
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")
_TAIL = re.compile(r"(?:[a-z0-9_-]|[.:](?=[a-z0-9_]))*+")
_BACKWARDS = re.compile(r"[\w.$-]*+")
_HEAD_CHARS = 40
_TAIL_CHARS = 60
_BEFORE_CHARS = 200
_FEWEST_WEAK = 12
_FEWEST_SHORT = 6  # beside `pass`
_GLUED = 5  # `dbpassword` ends in a name of so many letters
_LONG = 300  # what is longer is not looked at to its end
_REST = re.compile(r"[A-Za-z0-9+/_=.-]*+")
_NUMBERS = range(3, 9)
_LINE_START = re.compile(r"[\s\"'`*>-]*(?:export |set |env )?")


class Name(NamedTuple):
    """The name of a secret, where it stands, and how surely a secret stands beside it."""

    text: str
    start: int
    end: int
    strength: Strength


def beside_names(text: str, lower: str) -> Iterator[tuple[int, int]]:
    """Yield where values stand beside names of secrets; `lower` is the text in lower case."""
    until = 0
    tables = Tables(text)
    for hit in _stems().finditer(lower):
        if hit.start() < until:
            continue
        tail = _TAIL.match(lower, hit.end(), hit.end() + _TAIL_CHARS) if hit[0].isascii() else None
        until = tail.end() if tail else hit.end()
        head = _BACKWARDS.match(text[max(0, hit.start() - _HEAD_CHARS) : hit.start()][::-1])
        start = hit.start() - (head.end() if head else 0)
        strength = strength_of(text[start:until])
        if strength:
            name = Name(text[start:until], start, until, strength)
            if span := _after(text, name) or _before(text, name):
                until = max(until, span[1])
                yield span
            else:
                yield from tables.cells_below(start, until, partial(_is_secret, name=name))


def _after(text: str, name: Name) -> tuple[int, int] | None:
    for form, expression in _forms("after"):
        match = expression.match(text, name.end)
        if match and (span := _value(form, match, name)):
            return span
    return None


def _before(text: str, name: Name) -> tuple[int, int] | None:
    """Return where a value stands before its name, as in `use X as your password`."""
    window = text[max(0, name.start - _BEFORE_CHARS) : name.start]
    for _, expression in _forms("before"):
        match = expression.search(window)
        if match and _is_secret(match["secret"], name):
            return match.start("secret") + name.start - len(window), match.end("secret") + name.start - len(
                window
            )
    return None


def _is_secret(value: str, name: Name, *, is_literal: bool = False) -> bool:
    if name.strength == "numbers":
        return value.isdigit() and len(value) in _NUMBERS
    if name.strength == "strong":
        return is_password(value, is_literal=is_literal)
    is_short = name.text.casefold().endswith(("pass", "pw"))
    return is_random(value, _FEWEST_SHORT if is_short else _FEWEST_WEAK)


def _value(form: str, match: re.Match[str], name: Name) -> tuple[int, int] | None:
    """Return where the value of a match stands, if it is a secret."""
    group = "quoted" if match["quoted"] is not None else "bare"
    start, end = match.span(group)
    value, text = match[group], match.string
    if len(value) >= _LONG:
        end = _REST.match(text, end).end()  # type: ignore[union-attr]
    before = text[name.start - 1 : name.start]
    if group == "bare" and text[end : end + 1] not in "&":
        # The end of a sentence is not of the value.
        end -= len(value) - len(value.rstrip(".:?*"))
        value = text[start : min(end, start + _LONG)]
    if form == "spaced" and before != "-":
        return (start, end) if name.strength != "numbers" and is_random(value, 8) else None
    is_literal = group == "quoted" or form == "element" or name.text.isupper() or before in "-?&;"
    is_literal = (is_literal or _is_line(text, name.start, end)) and form not in ("called", "said", "listed")
    return (start, end) if _is_secret(value, name, is_literal=is_literal) else None


def _is_line(text: str, start: int, end: int) -> bool:
    """Return whether a name and its value are all of a line."""
    line = text.rfind("\n", max(0, start - _HEAD_CHARS), start) + 1
    is_first = line > 0 or start <= _HEAD_CHARS
    return is_first and bool(_LINE_START.fullmatch(text, line, start)) and text[end : end + 1] in "\r\n"


@lru_cache(maxsize=10_000)
def strength_of(name: str) -> Strength | None:
    """Return how surely a secret stands beside that name; None if it names something else."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    for at in range(len(parts) - 1, -1, -1):
        pair = "".join(parts[max(0, at - 1) : at + 1])
        strength = _strength(parts[at], pair, name)
        if strength is None:
            continue
        if at + 1 < len(parts) and parts[at + 1] in _words("beside")["after"]:
            return None
        before = at - 2 if at and pair in _words("words")["strong"] else at - 1
        return None if before >= 0 and parts[before] in _words("beside")["before"] else strength
    return None


def _strength(part: str, pair: str, name: str) -> Strength | None:
    words = _words("words")
    if part in words["numbers"]:
        return "numbers"
    if part in words["strong"] or pair in words["strong"] or part.endswith(_long_names()):
        return "strong"
    if part in words["weak"] or (part.endswith("pass") and part not in words["no_pass"]):
        # `DB_PASS` is the name of a setting.
        return "strong" if name.isupper() and "_" in name and part.endswith("pass") else "weak"
    return None


@cache
def _words(table: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(listed) for name, listed in read_expressions(_FILE, table).items()}


@cache
def _long_names() -> tuple[str, ...]:
    return tuple(name for name in _words("words")["strong"] if len(name) >= _GLUED and name.isascii())


@cache
def _stems() -> re.Pattern[str]:
    """Match what names of secrets contain."""
    words = _words("words")
    stems: list[str] = []
    for name in sorted(words["strong"] | words["weak"] | words["numbers"], key=len):
        if not any(stem in name for stem in stems):
            stems.append(name)
    return any_of(stems)


@cache
def _forms(place: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    forms = read_expressions(_FILE, place).items()
    return tuple((name, re.compile(form)) for name, listed in forms for form in listed)
