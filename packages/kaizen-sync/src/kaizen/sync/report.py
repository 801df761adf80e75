"""What one sync did: every trace in exactly one state, so that the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaizen.sync.records import STATES

if TYPE_CHECKING:
    from kaizen.sync.records import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trace that failed: why, and how often in a row by now."""

    trace_id: str
    reason: str
    attempts: int


@dataclass(slots=True)
class Report:
    """Counts of one run: `states` of every trace there is, `processed` of those this run worked on."""

    run_id: str
    source: str
    project: str
    namespace_id: str
    states: Counter[State] = field(default_factory=Counter)
    processed: Counter[State] = field(default_factory=Counter)
    reasons: Counter[tuple[State, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    tips: Counter[str] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration_s: float = 0.0
    stopped: bool = False

    def count(self, state: State, reason: str = "", *, processed: bool) -> None:
        """Count one trace; each trace is counted exactly once."""
        self.states[state] += 1
        if processed:
            self.processed[state] += 1
        if reason:
            # Reasons may name attributes or errors of one trace; what comes after a colon is detail.
            self.reasons[state, reason.partition(":")[0]] += 1

    @property
    def traces(self) -> int:
        return self.states.total()

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
            ],
            "failures": [
                {"trace_id": f.trace_id, "reason": f.reason, "attempts": f.attempts} for f in self.failures
            ],
            "tips": {
                key: self.tips[key]
                for key in ("created", "duplicates", "merged", "contradicting", "quarantined", "removed")
            },
            "redacted": dict(sorted(self.redacted.items())),
            "model": {
                "calls": self.model_calls,
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
            },
            "duration_s": round(self.duration_s, 3),
            "stopped": self.stopped,
        }
