"""Cut a project into slices of time, and put those of many projects into a fair order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Slice:
    """The traces of a project that started from `since` on and before `until` (None: no bound)."""

    since: datetime | None
    until: datetime | None
    traces: int


def cut_slices(starts: Iterable[datetime], size: int) -> list[Slice]:
    """Return slices of at least `size` traces each but the last, together without a bound.

    Traces that started at the same moment are in the same slice.
    """
    ordered = sorted(starts)
    cuts: list[int] = []
    end = size
    while end < len(ordered):
        if ordered[end] == ordered[end - 1]:
            end += 1
            continue
        cuts.append(end)
        end += size
    edges = [0, *cuts, len(ordered)]
    times = [None, *(ordered[cut] for cut in cuts), None]
    return [Slice(times[n], times[n + 1], edges[n + 1] - edges[n]) for n in range(len(edges) - 1) if ordered]
