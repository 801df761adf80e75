"""Many expressions searched for in one pass: most begin with words, and few words of a text begin so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from kaizen.sync.trust.normal import fold_letters

_KEY = 2
_BOUNDARY = r"\b"
_LITERAL = re.compile(r"[a-z ]*")
_OPTIONAL = tuple("?*{")
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


class Scanner:
    """Finds expressions, given in lower case, in texts that are `normal`.

    An alternative that begins with `\\b` and words is tried only where a word begins like one of them; the
    others are searched for as they are. Matches may overlap.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        self._plain: list[tuple[int, re.Pattern[str]]] = []
        self._opened: defaultdict[str, list[tuple[tuple[str, ...], int, re.Pattern[str]]]] = defaultdict(list)
        for number, expression in enumerate(expressions):
            for alternative in alternatives(fold_letters(expression)):
                self._add(number, alternative)
        keys = "|".join(sorted(map(re.escape, self._opened)))
        self._openings = re.compile(rf"\b(?:{keys})") if keys else None

    def _add(self, number: int, expression: str) -> None:
        compiled = re.compile(expression)
        words = openings(expression)
        if not words or min(map(len, words)) < _KEY:
            self._plain.append((number, compiled))
            return
        by_key: defaultdict[str, list[str]] = defaultdict(list)
        for word in words:
            by_key[word[:_KEY]].append(word)
        for key, same in by_key.items():
            self._opened[key].append((tuple(same), number, compiled))

    def matches(self, text: str) -> Iterator[tuple[int, re.Match[str]]]:
        """The number of an expression, and where it matches."""
        for number, compiled in self._plain:
            for match in compiled.finditer(text):
                yield number, match
        if self._openings is None:
            return
        for opening in self._openings.finditer(text):
            at = opening.start()
            for words, number, compiled in self._opened[opening[0]]:
                if text.startswith(words, at) and (found := compiled.match(text, at)):
                    yield number, found


@cache
def scanner(expressions: tuple[str, ...]) -> Scanner:
    """The scanner of these expressions, made once."""
    return Scanner(expressions)


def alternatives(expression: str) -> list[str]:
    """The alternatives of an expression at its top level."""
    parts, depth = [""], 0
    for part in _PART.findall(expression):
        depth += (part == "(") - (part == ")")
        if part == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += part
    return parts


def openings(expression: str) -> list[str]:
    """The words of which every match begins with one; empty where that is not plain to see."""
    if not expression.startswith(_BOUNDARY):
        return []
    rest = expression.removeprefix(_BOUNDARY)
    if not rest.startswith("(?:"):
        return [_literal(rest)]
    depth = length = 0
    for part in _PART.findall(rest):
        depth += (part == "(") - (part == ")")
        length += len(part)
        if not depth:
            break
    if rest[length:].startswith(_OPTIONAL):
        return []
    return [
        word
        for part in alternatives(rest[3 : length - 1])
        for word in (openings(_BOUNDARY + part) if part.startswith("(?:") else [_literal(part)])
    ]


def _literal(expression: str) -> str:
    found = _LITERAL.match(expression)
    literal = found[0] if found else ""
    return literal[:-1] if expression[len(literal) :].startswith(_OPTIONAL) else literal
