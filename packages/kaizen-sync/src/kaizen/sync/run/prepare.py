"""A fetched trace as something that can be told, or why nothing can be learned from it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kaizen.sync.errors import RedactionError, UnknownShapeError
from kaizen.sync.knowledge.shown import OWN_CALL, is_own_call
from kaizen.sync.outcomes.judge import Judgement, in_order
from kaizen.sync.redact import Redactor
from kaizen.sync.run.stories import Draft
from kaizen.sync.state.records import ERRORS_EXCLUDED
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from kaizen.sync.model import Annotation, Trace
    from kaizen.sync.outcomes.judge import Judge
    from kaizen.sync.redact import Redaction
    from kaizen.sync.state.records import State

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A trace that nothing can be learned from, and why."""

    trace_id: str
    digest: str
    start_time: datetime
    state: State
    reason: str

    @classmethod
    def of(cls, trace: Trace, state: State, reason: str) -> Untold:
        return cls(
            trace_id=trace.trace_id,
            digest=trace.digest,
            start_time=trace.start_time,
            state=state,
            reason=reason,
        )


def read_trace(
    trace: Trace,
    judge: Judge,
    said: Iterable[Annotation] = (),
    *,
    include_errors: bool,
    redaction: Redaction,
) -> Draft | Untold:
    """The trace, redacted, as it may be told. Never raises: one trace never fails another.

    `said` is what people, code and models say of it; where that is a verdict, it decides whether the trace is
    a failed one.
    """
    untold = partial(Untold.of, trace)
    try:
        trajectory = build_trajectory(trace)
        if is_own_call(trajectory):
            return untold("skipped", OWN_CALL)
        redactor = Redactor(redaction)
        judgement = Judgement(
            by_spans=redactor.outcome(trajectory.outcome),
            said=in_order(map(redactor.annotation, said)),
            span_ids=judge.subject(trace).span_ids,
        )
        trajectory = replace(trajectory, outcome=judgement.outcome(judge.rules))
        if trajectory.outcome.name == "failure" and not include_errors:
            return untold("skipped", ERRORS_EXCLUDED)
        trajectory = redactor.trajectory(trajectory)
    except UnknownShapeError as error:
        return untold("skipped", str(error))
    except RedactionError as error:
        return untold("failed", str(error))
    except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
        _log.exception("trace %s failed", trace.trace_id)
        return untold("failed", f"internal error: {error!r}")
    return Draft(
        trace_id=trace.trace_id,
        digest=trace.digest,
        start_time=trace.start_time,
        trajectory=trajectory,
        description=describe(trajectory, trace.start_time),
        judgement=judgement,
        redacted=redactor.counts,
    )
