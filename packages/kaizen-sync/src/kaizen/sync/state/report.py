"""What one sync did: every trace in exactly one state, so that the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaizen.store import Put
from kaizen.sync.model import utc_now
from kaizen.sync.state.records import RUN, STATES, reason_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from kaizen.sync.state.records import CountedState, State, TraceRecord
    from kaizen.tips.tip import StoredTip

_TIP_COUNTS = ("created", "duplicates", "merged", "contradicting", "quarantined", "removed")


@dataclass(slots=True)
class Report:
    """Counts of one run: `states` of every trace there is, `processed` of those this run worked on.

    `cost_usd` is None where a model was called whose price is not known. `share` is about how much of the
    work is done, from 0 to 1, where that can be told; `traces_read` were read so far. `outcomes_asked` counts
    traces that were asked for again, `outcomes_updated` those that are judged otherwise now, and `verdicts`
    tips whose effect is known otherwise now. `compared` are pairs of runs that ended differently and that the
    model was asked about. `unread` is what the source left out, and how often.
    """

    run_id: str
    source: str
    project: str
    namespace_id: str
    states: Counter[State] = field(default_factory=Counter)
    processed: Counter[State] = field(default_factory=Counter)
    reasons: Counter[tuple[State, str]] = field(default_factory=Counter)
    failures: list[TraceRecord] = field(default_factory=list)
    tips: Counter[str] = field(default_factory=Counter)
    tips_dropped: Counter[str] = field(default_factory=Counter)
    quarantined: dict[str, StoredTip] = field(default_factory=dict)
    redacted: Counter[str] = field(default_factory=Counter)
    outcomes_asked: int = 0
    outcomes_updated: int = 0
    verdicts: int = 0
    compared: int = 0
    annotated: int = 0
    not_annotated: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    duration_s: float = 0.0
    stopped: bool = False
    reading: str = "nothing"
    requests: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    traces_read: int = 0
    refusal: str = ""
    share: float | None = None
    started_at: datetime = field(default_factory=utc_now)

    def count(self, state: State, reason: str = "", *, processed: bool) -> None:
        """Count one trace; each trace is counted exactly once."""
        self.states[state] += 1
        if processed:
            self.processed[state] += 1
        if reason:
            self.reasons[state, reason_kind(reason)] += 1

    def recount(self, before: TraceRecord, after: TraceRecord, *, processed: bool) -> None:
        """Count a trace that was counted already as what it is now."""
        self.states[before.state] -= 1
        if processed:
            self.processed[before.state] -= 1
        if before.reason:
            self.reasons[before.state, reason_kind(before.reason)] -= 1
        self.count(after.state, after.reason, processed=processed)

    def count_unseen(self, state_counts: Mapping[CountedState, int]) -> None:
        """Count the traces that an earlier sync recorded and that this one had no reason to look at."""
        for counted_state, traces in state_counts.items():
            self.states[counted_state.state] += traces
            if counted_state.reason:
                self.reasons[counted_state.state, counted_state.reason] += traces

    def count_tips(self, tips: Iterable[StoredTip], **counts: int) -> None:
        """Add to the counts of tips, such as `created`; name those of the `tips` that wait for a person."""
        self.tips.update(counts)
        for tip in tips:
            self.quarantined.pop(tip.id, None)
            if tip.status == "quarantined":
                self.quarantined[tip.id] = tip
        self.tips["quarantined"] = len(self.quarantined)

    @property
    def traces(self) -> int:
        return self.states.total()

    @property
    def is_failure(self) -> bool:
        """Whether a trace failed, the model refused or was unavailable, or the run was stopped."""
        return bool(self.states["failed"] or self.refusal or self.stopped)

    @property
    def did_anything(self) -> bool:
        return bool(self.processed.total() or self.model_calls or self.outcomes_updated or self.verdicts)

    def to_put(self, *, ended: bool) -> Put:
        """Return the entity that keeps the run; `ended` says that nothing more comes."""
        # They are in the records of the traces, and would make every run as large as its project.
        left_out = ("traces", "states", "reasons", "failures", "quarantined")
        metadata = {key: value for key, value in self.to_json().items() if key not in left_out}
        metadata["ended"] = ended
        return Put(id=f"{RUN}:{self.run_id}", type=RUN, content="", metadata=metadata)

    def to_json(self) -> dict[str, Any]:
        """The report for programs; its keys are documented in docs/reference/cli.md."""
        return {
            "run_id": self.run_id,
            "source": self.source,
            "project": self.project,
            "namespace": self.namespace_id,
            "traces": self.traces,
            "states": {state: self.states[state] for state in STATES},
            "processed": {state: self.processed[state] for state in STATES},
            "reasons": [
                {"state": state, "reason": reason, "traces": n}
                for (state, reason), n in sorted(self.reasons.items())
                if n
            ],
            "failures": [
                {"trace_id": f.trace_id, "reason": f.reason, "attempts": f.attempts} for f in self.failures
            ],
            "tips": {key: self.tips[key] for key in _TIP_COUNTS},
            "tips_dropped": dict(sorted(self.tips_dropped.items())),
            "quarantined": [
                {"tip_id": tip.id, "content": tip.content, "reason": tip.quarantine_reason}
                for tip in self.quarantined.values()
            ],
            "redacted": dict(sorted(self.redacted.items())),
            "outcomes": {"asked": self.outcomes_asked, "updated": self.outcomes_updated},
            "verdicts": self.verdicts,
            "compared": self.compared,
            "annotated": {"done": self.annotated, "failed": self.not_annotated},
            "model": {
                "calls": self.model_calls,
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 6),
            },
            "reading": self.reading,
            "requests": self.requests,
            "unread": self.unread,
            "refusal": self.refusal,
            "started_at": self.started_at.isoformat(),
            "duration_s": round(self.duration_s, 3),
            "stopped": self.stopped,
        }
