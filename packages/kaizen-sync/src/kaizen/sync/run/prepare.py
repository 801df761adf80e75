"""A fetched trace as something that can be learned from, or why it cannot."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from kaizen.sync.errors import IncompleteRecordError, UnknownShapeError
from kaizen.sync.knowledge.shown import OWN_CALL, is_own_call
from kaizen.sync.outcomes.judge import Judgement, sort_annotations
from kaizen.sync.outcomes.measures import exposed_trace
from kaizen.sync.redact import Redactor
from kaizen.sync.run.isolation import failure_reason
from kaizen.sync.state.records import ERRORS_EXCLUDED, TraceRecord, start_of
from kaizen.sync.state.trajectories import stored_trajectory, whole_descriptions
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen.store import Entity
    from kaizen.sync.model import Annotation, Trace, Trajectory
    from kaizen.sync.outcomes.judge import Judge
    from kaizen.sync.redact import Redaction
    from kaizen.sync.run.stories import Linker
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


def stored_batches(linker: Linker, *, since: datetime | None) -> Iterator[list[PreparedTrace]]:
    """Yield the stored traces of a project that can be learned from, a few at a time, in order of time.

    One whose record is kept as the end of another that is gone cannot be read, and stays as it is.
    """
    # Their ids first: what follows changes them.
    starts = sorted(
        (start_of(entity), str(entity.metadata["trace_id"]))
        for entity in linker.records()
        if _is_kept(entity) and (since is None or datetime.fromisoformat(start_of(entity)) >= since)
    )
    for first in range(0, len(starts), _BATCH):
        found = linker.read([trace_id for _, trace_id in starts[first : first + _BATCH]])
        yield stored_traces(linker, found)


def stored_traces(linker: Linker, found: Mapping[str, Entity]) -> list[PreparedTrace]:
    """Return the traces of these records, by trace id, in order of time, as far as they can be read."""
    known = {**found, **linker.bases(found, found)}
    descriptions = whole_descriptions(found.values(), known)
    return sorted(_readable(found, known, descriptions), key=lambda one: (one.start_time, one.trace_id))


def _is_kept(entity: Entity) -> bool:
    record = TraceRecord.of(entity)
    is_told = record.state in ("learned", "no_lesson") or record.is_part
    return is_told and record.description is not None and "judgement" in entity.metadata


def _readable(
    found: Mapping[str, Entity],
    known: Mapping[str, Entity],
    descriptions: Mapping[str, TraceDescription],
) -> Iterator[PreparedTrace]:
    for trace_id, entity in found.items():
        metadata: Mapping[str, Any] = entity.metadata
        with suppress(IncompleteRecordError):
            yield PreparedTrace(
                trace_id=trace_id,
                digest=metadata["digest"],
                start_time=datetime.fromisoformat(start_of(entity)),
                trajectory=stored_trajectory(entity, known),
                description=descriptions[trace_id],
                judgement=Judgement.of_json(metadata["judgement"]),
                redacted=Counter(metadata.get("redacted") or {}),
            )
