"""Search for many expressions in one pass: most begin with words, and few words of a text begin so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from kaizen.sync.trust.normal import fold_letters

# `do` and `ai` open expressions; longer keys would leave these to the slow search.
_KEY = 2
_EXCERPT = 60
_BOUNDARY = r"\b"
_LITERAL = re.compile(r"[a-z ]*")
_OPTIONAL = tuple("?*{")
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


class Scanner:
    """Find expressions, given in lower case, in texts that are `normal`.

    Python's `re` tries each of hundreds of expressions at each place. Here an alternative that begins with
    `\\b` and words is tried only where a word begins like one of them. Matches may overlap.
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
        """Yield the number of an expression and its match."""
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
    """Return the scanner of these expressions, made once."""
    return Scanner(expressions)


def excerpt(match: re.Match[str]) -> str:
    """Return the match with a few words around it, for a person to read."""
    start = max(match.start() - 10, 0)
    words = match.string[start : match.end() + 20]
    words = words if len(words) <= 2 * _EXCERPT else f"{words[:_EXCERPT]} ... {words[-_EXCERPT:]}"
    return "".join(c if c.isprintable() and c != "'" else " " for c in words).strip()


def alternatives(expression: str) -> list[str]:
    """Split an expression into its alternatives at the top level."""
    parts, depth = [""], 0
    for part in _PART.findall(expression):
        depth += (part == "(") - (part == ")")
        if part == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += part
    return parts


def openings(expression: str) -> list[str]:
    """Return the words with which matches begin; empty if the expression does not show them."""
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
    # What may be missing does not show how a match begins.
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
    # The last letter may be missing, as in `tips?`.
    return literal[:-1] if expression[len(literal) :].startswith(_OPTIONAL) else literal
