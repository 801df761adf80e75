"""What recall gives to a run: the tips that it is shown, those held out from it, and the texts to place."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaizen.recall import holdout, placing
from kaizen.recall.choosing import Budget, Request, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaizen.recall.choosing import Candidate
    from kaizen.recall.model import ServedTip, Snapshot

SHOWN, HELD_OUT = "kaizen.recall.shown", "kaizen.recall.held_out"
UNIT, SNAPSHOT, P = "kaizen.recall.unit", "kaizen.recall.snapshot", "kaizen.recall.p"
CONTROL = "kaizen.recall.control"
ALL_TIPS = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """The tips for one run. False where there is nothing to show.

    `notes` are for the descriptions of tools, by name; `text`, for the end of the instructions, holds the
    tips that are in no note. `p` is each tip's probability of being held out, by id. A unit that
    `is_control`, with the probability `p["*"]`, is shown no tip: so the effect of all of them is measured.
    """

    shown: tuple[ServedTip, ...] = ()
    held_out: tuple[ServedTip, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    full_text: str = ""
    """All tips as one block, for those who cannot change the descriptions of tools."""
    unit: str = ""
    snapshot: str = ""
    p: Mapping[str, float] = field(default_factory=dict)
    is_control: bool = False

    def __bool__(self) -> bool:
        return bool(self.shown)

    @property
    def tips(self) -> tuple[ServedTip, ...]:
        return self.shown

    def attributes(self) -> dict[str, str]:
        """Return what the spans of the run must say; empty where no tip was chosen."""
        if not self.shown and not self.held_out:
            return {}
        values: dict[str, Any] = {
            SHOWN: [tip.ref for tip in self.shown],
            HELD_OUT: [tip.ref for tip in self.held_out],
            P: self.p,
        }
        texts = {name: json.dumps(value, separators=(",", ":")) for name, value in values.items()}
        control = {CONTROL: "true"} if self.is_control else {}
        return {**texts, UNIT: self.unit, SNAPSHOT: self.snapshot, **control}

    @contextmanager
    def applied(self) -> Iterator[Recalled]:
        """Put `attributes` on all spans that begin inside, if OpenTelemetry and OpenInference are there."""
        from kaizen.recall.context import stamping

        with stamping(self.attributes()):
            yield self


NOTHING = Recalled()


def recall_from(
    snapshot: Snapshot,
    request: Request,
    *,
    unit: str,
    budget: Budget | None = None,
    holdout_bound: float = 1.0,
) -> Recalled:
    """Choose the tips for a run, hold some out, and write the rest down. Pure."""
    chosen = choose(snapshot, request, budget)
    share = snapshot.control_share if holdout_bound > 0 else 0.0
    own = {candidate.tip.id: min(candidate.tip.p, holdout_bound) for candidate in chosen}
    is_control = holdout.is_control(unit, snapshot.salt, share)
    shown = [
        c
        for c in chosen
        if not is_control and holdout.assign(c.tip, unit, snapshot.salt, own[c.tip.id]) == "shown"
    ]
    return Recalled(
        shown=tuple(c.tip for c in shown),
        held_out=tuple(c.tip for c in chosen if c not in shown),
        notes=_notes(shown),
        text=placing.block([c.tip for c in shown if not c.tool]),
        full_text=placing.block([c.tip for c in shown]),
        unit=unit,
        snapshot=snapshot.digest,
        p={**{tip_id: round(p, 6) for tip_id, p in own.items()}, ALL_TIPS: share},
        is_control=is_control,
    )


def _notes(shown: Sequence[Candidate]) -> dict[str, str]:
    by_tool: dict[str, list[ServedTip]] = {}
    for candidate in shown:
        if candidate.tool:
            by_tool.setdefault(candidate.tool, []).append(candidate.tip)
    return {tool: placing.note(tips) for tool, tips in by_tool.items()}
