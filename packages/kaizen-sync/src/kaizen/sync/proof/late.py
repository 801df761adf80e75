"""Leave out the youngest units while outcomes of units like them are still to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.sync.proof.betting import Bools, Floats

# The sync asks for the outcome of a trace for so long by default.
_FINAL_AFTER_S = 7 * 24 * 3600.0
# Outcomes have come if so much of the share is known that is known of older units.
_ENOUGH = 0.95
_PARTS = 20
_LEAST_UNITS = 20


def count_settled(began: Floats, known: Bools) -> int:
    """Return how many of the units, in order of time, are old enough to be compared.

    If failures are reported sooner than successes, the youngest units with a known outcome are mostly
    failures. Which units count depends on whether outcomes are known, and not on what they are. Units that
    are a week older than the youngest always count.
    """
    part = max(_LEAST_UNITS, len(known) // _PARTS)
    final = int((began < began.max(initial=0.0) - _FINAL_AFTER_S).sum())
    end = len(known)
    while end - part >= max(final, part):
        if known[end - part : end].mean() >= _ENOUGH * known[: end - part].mean():
            break
        end -= part
    return max(end, final)
