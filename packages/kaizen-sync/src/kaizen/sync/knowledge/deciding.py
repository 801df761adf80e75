"""What one tip is to another that is like it, as far as their words tell: no model is asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from kaizen.sync.knowledge.polarity import polarity
from kaizen.tips.text import names

if TYPE_CHECKING:
    from kaizen.sync.knowledge.similarity import Thresholds

DecidedByText = Literal["duplicate", "contradicts", "new"]


class ByText(NamedTuple):
    """A decision, and the words that show it where it is a contradiction."""

    decision: DecidedByText
    reason: str = ""


def decide_by_text(
    one: str, other: str, likeness: float, thresholds: Thresholds, *, cases: tuple[str, str] = ("", "")
) -> ByText:
    """Whether two tips say the same or contradict each other; in doubt neither. `cases`: their triggers."""
    if likeness < thresholds.opposed:
        return ByText("new")
    relation, reason = polarity(one, other, one_case=cases[0], other_case=cases[1])
    if relation == "opposite":
        return ByText("contradicts", reason)
    if relation == "same" and likeness >= thresholds.same and _name_the_same(one, other):
        return ByText("duplicate")
    return ByText("new")


def _name_the_same(one: str, other: str) -> bool:
    """Whether neither is about a function or field that the other leaves out while it names another."""
    return names(one) <= names(other) or names(other) <= names(one)
