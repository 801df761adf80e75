"""Whether two tips that are alike say the same, the opposite, or speak of different cases. English. Pure.

Embeddings put a statement next to its contradiction, and models call both duplicates. What is found here is a
difference that the words show; where they show none the answer is `same`, which alone makes no duplicate.
"""

from __future__ import annotations

import re
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, NamedTuple

from kaizen.sync.knowledge.statements import stated, statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen.sync.knowledge.statements import Order, Stated, Statement

Relation = Literal["same", "opposite", "apart"]

_SHARED_OF_SHORTER = 0.75
_SHARED_OF_BOTH = 0.5
_SAME_CASE = 0.5
_SAME_SCOPE = 0.8
_LEAST_WORDS = 2
_LONGEST_SHOWN = 120
_NUMBERS = {"twice": "2", "two": "2", "three": "3", "four": "4", "five": "5", "ten": "10"}
_NUMBER = re.compile(rf"(?<![\w.])\d+(?:\.\d+)?(?![\w)]|\.\s\S)|\b(?:{'|'.join(_NUMBERS)})\b", re.IGNORECASE)


class Polarity(NamedTuple):
    """What two tips are to each other, and the words that show it where they are not the same."""

    relation: Relation
    reason: str = ""


def polarity(one: str, other: str, *, one_case: str = "", other_case: str = "") -> Polarity:
    """What two texts are to each other that are about the same thing; the cases are their triggers, if known.

    `opposite`: only one can be right. `apart`: they differ in a number, in the case that they are for, or in
    a choice where their cases may differ.
    """
    a, b = stated(one), stated(other)
    if reason := _different_cases(a, b) or _opposed_texts(one_case, other_case):
        return Polarity("apart", reason)
    found = [*_differences(a, b), *_swapped(a, b)]
    opposite = next((difference for difference in found if difference.relation == "opposite"), None)
    if opposite or found:
        return opposite or found[0]
    numbers, others = _numbers(one), _numbers(other)
    if not (numbers <= others or others <= numbers):
        return Polarity(
            "apart", f"numbers differ: {', '.join(sorted(numbers))} and {', '.join(sorted(others))}"
        )
    return Polarity("same")


def _different_cases(a: Stated, b: Stated) -> str:
    if not a.scope or not b.scope:
        return ""
    return _opposed_texts(a.scope, b.scope)


def _opposed_texts(one: str, other: str) -> str:
    return f"'{one}' and '{other}' are different cases" if _opposed(statement(one), statement(other)) else ""


def _differences(a: Stated, b: Stated) -> Iterator[Polarity]:
    for one in a.statements:
        for other in b.statements:
            kind = _opposed(one, other)
            if not kind:
                if _about_the_same(one, other) and _opposed_texts(one.case, other.case):
                    yield Polarity("apart", f"'{_short(one.case)}' against '{_short(other.case)}'")
            elif not _is_said_by_both(one, other, a, b):
                certain = _same_case(one, other) and (kind == "verdict" or _same_scope(a, b))
                reason = f"'{_short(one.text)}' against '{_short(other.text)}'"
                yield Polarity("opposite" if certain else "apart", reason)


def _opposed(one: Statement, other: Statement) -> Literal["", "verdict", "choice"]:
    if not _about_the_same(one, other):
        return ""
    choices = _differing(one.choices, other.choices)
    verdicts = _differing(one.verdicts, other.verdicts) + (one.denied != other.denied)
    if choices:
        return "" if verdicts else "choice"
    return "verdict" if verdicts % 2 else ""


def _differing(one: Mapping[str, int], other: Mapping[str, int]) -> int:
    return sum(other.get(word, side) != side for word, side in one.items())


def _about_the_same(one: Statement, other: Statement) -> bool:
    fewer, more = sorted((one, other), key=lambda statement_: len(statement_.words))
    shared = len(one.words & other.words)
    return (
        (len(fewer.words) >= _LEAST_WORDS or one.words == other.words)
        and fewer.names <= more.names
        and shared >= _SHARED_OF_SHORTER * len(fewer.words)
        and shared >= _SHARED_OF_BOTH * len(one.words | other.words)
    )


def _is_said_by_both(one: Statement, other: Statement, a: Stated, b: Stated) -> bool:
    """Whether either text says what the other's statement says, too."""

    def says(text: Stated, wanted: Statement) -> bool:
        return any(
            mine.denied == wanted.denied
            and len(mine.words & wanted.words) >= _SHARED_OF_SHORTER * max(len(mine.words), len(wanted.words))
            and not _opposed(mine, wanted)
            for mine in text.statements
        )

    return says(a, other) or says(b, one)


def _same_case(one: Statement, other: Statement) -> bool:
    """Whether the clauses are for the same case; one that is for any case allows the other an exception."""
    if not one.case or not other.case:
        return one.case == other.case
    mine, others = statement(one.case), statement(other.case)
    return _overlap(mine.words, others.words) >= _SAME_CASE and not _opposed(mine, others)


def _same_scope(a: Stated, b: Stated) -> bool:
    if not a.scope and not b.scope:
        return True
    mine, others = statement(a.scope).words, statement(b.scope).words
    return len(mine & others) >= _SAME_SCOPE * len(mine | others)


def _swapped(a: Stated, b: Stated) -> Iterator[Polarity]:
    """Orders of which one says first what the other says second."""
    for one in a.orders:
        for other in b.orders:
            if _reversed(one, other):
                yield Polarity("opposite", f"'{_short(one.text)}' against '{_short(other.text)}'")


def _reversed(one: Order, other: Order) -> bool:
    straight = min(_overlap(one.first, other.first), _overlap(one.second, other.second))
    crossed = min(_overlap(one.first, other.second), _overlap(one.second, other.first))
    return crossed >= _SHARED_OF_SHORTER and crossed > straight


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    smaller = min(len(one), len(other))
    return len(one & other) / smaller if smaller else 0.0


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBERS.get(number.casefold(), number) for number in _NUMBER.findall(text))


def _short(text: str) -> str:
    return shorten(text, _LONGEST_SHOWN, placeholder=" ...")
