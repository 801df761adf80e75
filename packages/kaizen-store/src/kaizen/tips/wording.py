"""Texts as they are compared: folded, as words, and by what turns a statement into its opposite."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    _WORD.findall(
        "a an and are as at be by for from in is it its of on or so that the then there this to when with you"
        " your"
    )
)
_TURNING = frozenset(
    _WORD.findall(
        "after before cannot don except fail fails less more never no none not only t unless until without"
    )
)


def fold(text: str) -> str:
    """The text as it is compared: case, white space and closing punctuation do not count."""
    return " ".join(text.split()).rstrip(".! ").casefold()


def words(text: str) -> frozenset[str]:
    """The words of a text that say something, in lower case."""
    return frozenset(_WORD.findall(text.casefold())) - _COMMON


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of all words of two texts that both have."""
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def turning(text: frozenset[str]) -> frozenset[str]:
    """The words that make the opposite of a statement, such as `not` and `before`."""
    return text & _TURNING
