"""A fetched trace as something that can be learned from, or why it cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from kaizen.sync.errors import UnknownShapeError
from kaizen.sync.knowledge.shown import OWN_CALL, is_own_call
from kaizen.sync.outcomes.judge import Judgement, sort_annotations
from kaizen.sync.outcomes.measures import exposed_trace
from kaizen.sync.redact import Redactor
from kaizen.sync.run.isolation import failure_reason
from kaizen.sync.state.records import ERRORS_EXCLUDED, TRAJECTORY, TraceRecord, start_of, stored_trajectory
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.store import Entity, Store
    from kaizen.sync.model import Annotation, Trace, Trajectory
    from kaizen.sync.outcomes.judge import Judge
    from kaizen.sync.redact import Redaction
    from kaizen.sync.state.exposures import ExposedTrace
    from kaizen.sync.state.records import State
    from kaizen.sync.trajectory.stories import TraceDescription

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTrace:
    """A trace that can be learned from: its redacted trajectory, its judgement, and what linking needs."""

    trace_id: str
    digest: str
    start_time: datetime
    trajectory: Trajectory
    description: TraceDescription
    judgement: Judgement
    redacted: Counter[str] = field(default_factory=Counter)
    exposed: ExposedTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpreparedTrace:
    """A trace that this run learns nothing from: the state that it ends in, and why."""

    trace_id: str
    digest: str
    start_time: datetime
    state: State
    reason: str
    exposed: ExposedTrace | None = None

    @classmethod
    def of(cls, trace: Trace | PreparedTrace, state: State, reason: str) -> UnpreparedTrace:
        return cls(
            trace_id=trace.trace_id,
            digest=trace.digest,
            start_time=trace.start_time,
            state=state,
            reason=reason,
        )


def prepare_trace(
    trace: Trace,
    judge: Judge,
    annotations: Iterable[Annotation] = (),
    *,
    include_errors: bool,
    redaction: Redaction,
) -> PreparedTrace | UnpreparedTrace:
    """Return the trace, redacted, with its outcome, or why it has none: one trace never fails another.

    `annotations` are those of people, code and models; if one is a verdict, it decides whether the trace
    failed.
    """
    unprepared = partial(UnpreparedTrace.of, trace)
    try:
        trajectory = build_trajectory(trace)
        if is_own_call(trajectory):
            return unprepared("skipped", OWN_CALL)
        redactor = Redactor(redaction)
        judgement = Judgement(
            by_spans=redactor.outcome(trajectory.outcome),
            annotations=sort_annotations(map(redactor.annotation, annotations)),
            span_ids=judge.subject(trace).span_ids,
        )
        trajectory = replace(trajectory, outcome=judgement.outcome(judge.rules))
        is_excluded = trajectory.outcome.name == "failure" and not include_errors
        if is_excluded and not trajectory.exposures:
            return unprepared("skipped", ERRORS_EXCLUDED)
        trajectory = redactor.trajectory(trajectory)
        description = describe(trajectory, trace.start_time)
        exposed = exposed_trace(trace, trajectory, repeated=description.repeated)
        if is_excluded:
            # Nothing is learned from it, but an experiment that forgot failures would prove nothing.
            return replace(unprepared("skipped", ERRORS_EXCLUDED), exposed=exposed)
        return PreparedTrace(
            trace_id=trace.trace_id,
            digest=trace.digest,
            start_time=trace.start_time,
            trajectory=trajectory,
            description=description,
            judgement=judgement,
            redacted=redactor.counts,
            exposed=exposed,
        )
    except UnknownShapeError as error:
        return unprepared("skipped", str(error))
    except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
        return unprepared("failed", failure_reason(error, trace.trace_id))


def stored_batches(
    store: Store, namespace_id: str, source: str, project: str, *, since: datetime | None
) -> Iterator[list[PreparedTrace]]:
    """Yield the stored traces of a project that can be learned from, a few at a time, in order of time."""
    where = {"source": source, "project": project}
    # Their ids first: what follows changes them.
    starts = sorted(
        (start_of(entity), entity.id)
        for entity in store.iterate(namespace_id, type=TRAJECTORY, where=where)
        if _is_kept(entity) and (since is None or datetime.fromisoformat(start_of(entity)) >= since)
    )
    ids = [entity_id for _, entity_id in starts]
    for first in range(0, len(ids), _BATCH):
        batch = ids[first : first + _BATCH]
        found = store.get_many(namespace_id, batch)
        yield [_prepared(found[entity_id]) for entity_id in batch if entity_id in found]


def _is_kept(entity: Entity) -> bool:
    record = TraceRecord.of(entity)
    is_told = record.state in ("learned", "no_lesson") or bool(record.head)
    return is_told and record.description is not None and "judgement" in entity.metadata


def _prepared(entity: Entity) -> PreparedTrace:
    record, metadata = TraceRecord.of(entity), entity.metadata
    assert record.description is not None
    judgement: object = metadata["judgement"]
    redacted: object = metadata.get("redacted")
    return PreparedTrace(
        trace_id=record.trace_id,
        digest=record.digest,
        start_time=datetime.fromisoformat(start_of(entity)),
        trajectory=stored_trajectory(entity),
        description=record.description,
        judgement=Judgement.of_json(judgement),  # type: ignore[arg-type]  # as it was stored
        redacted=Counter(redacted or {}),  # type: ignore[call-overload]
    )
