"""What one tip is to another that is like it, as far as their words tell: no model is asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from kaizen.sync.polarity import polarity
from kaizen.sync.words import names

if TYPE_CHECKING:
    from kaizen.sync.likeness import Thresholds

Judgement = Literal["duplicate", "contradicts", "new"]


class Judged(NamedTuple):
    """A judgement, and the words that show it where it is a contradiction."""

    judgement: Judgement
    reason: str = ""


def judge(
    one: str, other: str, likeness: float, thresholds: Thresholds, *, cases: tuple[str, str] = ("", "")
) -> Judged:
    """Whether two tips say the same or contradict each other; in doubt neither. `cases`: their triggers."""
    if likeness < thresholds.opposed:
        return Judged("new")
    relation, reason = polarity(one, other, one_case=cases[0], other_case=cases[1])
    if relation == "opposite":
        return Judged("contradicts", reason)
    if relation == "same" and likeness >= thresholds.same and _name_the_same(one, other):
        return Judged("duplicate")
    return Judged("new")


def _name_the_same(one: str, other: str) -> bool:
    """Whether neither is about a function or field that the other leaves out while it names another."""
    return names(one) <= names(other) or names(other) <= names(one)
