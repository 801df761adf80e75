"""How likely a tip is held out: often while nothing is known of it, seldom once it is proven."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.sync.proof.values import VerdictName

CANDIDATE = 0.5
UNPROVEN = 0.2
PROVEN = 0.05


def holdout_probability(
    verdict: VerdictName, *, is_candidate: bool = False, is_pinned: bool = False, most: float = 1.0
) -> float:
    """Return the probability, at most `most`; 0 for a pinned tip, else only if that is 0."""
    if is_pinned:
        return 0.0
    if is_candidate:
        return min(CANDIDATE, most)
    return min(PROVEN if verdict == "helps" else UNPROVEN, most)
