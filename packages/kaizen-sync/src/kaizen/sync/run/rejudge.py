"""Late verdicts: annotations of traces that were learned from are read again, and evidence follows."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kaizen.sync.errors import RedactionError
from kaizen.sync.knowledge.reconcile import update_outcome
from kaizen.sync.model import TARGETS
from kaizen.sync.outcomes.judge import Judgement, Subject
from kaizen.sync.redact import Redactor
from kaizen.sync.run.stories import outcome_of
from kaizen.sync.state.exposures import ExposureRecord, annotated_success, exposure_id
from kaizen.sync.state.records import TRAJECTORY, TraceRecord, put_again, stored_outcome
from kaizen.tips.contradictions import resolve_contradictions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from kaizen.store import Change, Entity, Store
    from kaizen.sync.model import Annotation, Clock, Outcome, Target
    from kaizen.sync.outcomes.judge import Judge
    from kaizen.sync.run.stories import Linker
    from kaizen.sync.settings import SyncSettings
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.rejudge_schedule import Ask
    from kaizen.sync.state.report import Report

_log = logging.getLogger(__name__)

_PAGE = 100
# Some steps need no request, such as asking for sessions where there are none.
_STEPS_PER_REQUEST = 10


class Rejudging:
    """Reads the annotations of a project's traces again, as far as that is due. Calls no model."""

    def __init__(
        self,
        store: Store,
        settings: SyncSettings,
        ledger: Ledger,
        linker: Linker,
        judge: Judge,
        report: Report,
        *,
        clock: Clock,
    ) -> None:
        self._store = store
        self._namespace_id = settings.namespace_id
        self._wait = timedelta(seconds=settings.outcome_wait_s if judge.has_annotations else 0)
        self._redaction = settings.redaction
        self._ledger = ledger
        self._linker = linker
        self._judge = judge
        self._report = report
        self._clock = clock

    def run(self, *, requests: int) -> None:
        """Ask for what is due with so many requests, newest records first; the ledger keeps how far."""
        now = self._clock()
        began = self._judge.requests
        asks = self._ledger.asks
        for _ in range(requests * _STEPS_PER_REQUEST):
            due = [hour for hour, ask in asks.items() if ask.is_due(now, self._wait)]
            if not due or self._judge.requests - began >= requests:
                break
            # The newest first: people judge what has just happened.
            asks[max(due)] = self._step(asks[max(due)], now)
        # A copy, since the dictionary changes.
        for hour in [hour for hour, ask in asks.items() if ask.is_over(self._wait)]:
            del asks[hour]

    def _step(self, ask: Ask, now: datetime) -> Ask:
        """Ask one thing of one page of records."""
        where = {"source": self._report.source, "project": self._report.project, "recorded_in": ask.hour}
        found = self._store.list(
            self._namespace_id, type=TRAJECTORY, where=where, after=ask.after or None, limit=_PAGE
        )
        if not found.entities:
            return ask.completed(now, self._wait)
        page = list(_for_one_request(found.entities))
        asked = [entity for entity in page if _is_asked_for(entity)]
        self._apply_annotations(TARGETS[ask.targets], asked)
        if ask.targets + 1 < len(TARGETS):
            return replace(ask, targets=ask.targets + 1)
        self._report.outcomes_asked += len(asked)
        return ask.page_done(page[-1].id)

    def _apply_annotations(self, target: Target, entities: Sequence[Entity]) -> None:
        ids = {str(entity.metadata["trace_id"]): entity.id for entity in entities}
        redactor = Redactor(self._redaction)
        found = self._judge.annotations(target, [_subject(entity) for entity in entities])
        for trace_id, of_trace in found.items():
            try:
                redacted = [redactor.annotation(annotation) for annotation in of_trace]
            except RedactionError as error:
                _log.warning("annotations of trace %s are left out: %s", trace_id, error)
                continue
            self._update(ids[trace_id], target, redacted)

    def _update(self, entity_id: str, target: Target, annotations: Sequence[Annotation]) -> None:
        """Commit a trace's annotations of that kind if they changed: record and evidence together."""
        run_id = self._report.run_id
        for version in self._ledger.attempts():
            changes, is_changed = self._plan(entity_id, target, annotations)
            if not changes:
                return
            if self._ledger.commit(changes, expected=version, reason="outcome judged", run_id=run_id):
                self._report.outcomes_updated += is_changed
                return

    def _plan(
        self, entity_id: str, target: Target, annotations: Sequence[Annotation]
    ) -> tuple[list[Change], bool]:
        entity = self._store.get_many(self._namespace_id, [entity_id]).get(entity_id)
        if entity is None or not _is_asked_for(entity):
            return [], False
        before = _judgement(entity)
        judgement = before.with_annotations(target, annotations)
        if judgement == before:
            return [], False
        outcome = judgement.outcome(self._judge.rules)
        judged = {"outcome": outcome.to_json(), "judgement": judgement.to_json()}
        changes: list[Change] = [put_again(entity, {**entity.metadata, **judged})]
        changes += self._exposures(entity, outcome)
        return [*changes, *self._evidence(entity, outcome)], outcome != stored_outcome(entity)

    def _exposures(self, entity: Entity, outcome: Outcome) -> Iterator[Change]:
        """Yield the changes for the trace's records of the experiment."""
        metadata: Mapping[str, Any] = entity.metadata
        source, project, trace_id = (metadata[name] for name in ("source", "project", "trace_id"))
        units = [exposure["unit"] for exposure in metadata.get("exposures") or ()]
        ids = [exposure_id(source, project, unit, trace_id) for unit in units]
        success = annotated_success(outcome)
        for found in self._store.get_many(self._namespace_id, ids).values() if ids else ():
            if (record := ExposureRecord.of(found)).success != success:
                yield record._replace(success=success).to_put(found.id)

    def _evidence(self, entity: Entity, outcome: Outcome) -> list[Change]:
        """Return the changes for the tips of the trace's story whose evidence has another outcome now."""
        record = TraceRecord.of(entity)
        stored = self._linker.recorded(record)
        records = map(TraceRecord.of, stored.values())
        head = next((one for one in records if one.learned_from or one.tip_ids), None)
        if head is None:
            return []
        ended = outcome_of(stored, {record.trace_id: outcome})
        backed = self._ledger.backed_by(head.trace_id, head.tip_ids)
        judged = update_outcome(self._ledger.story(head.trace_id), backed, ended, self._ledger.tips)
        # Of tips that contradict each other another one may be the better backed now.
        changed = resolve_contradictions(judged, self._ledger.tips) if judged else {}
        return self._ledger.tip_changes(changed.values())


def _for_one_request(entities: Sequence[Entity]) -> Iterator[Entity]:
    """As many of the records, from the first, as have a hundred spans to ask for."""
    spans = 0
    for number, entity in enumerate(entities):
        spans += len(_judgement(entity).span_ids) if _is_asked_for(entity) else 0
        if number and spans > _PAGE:
            return
        yield entity


def _is_asked_for(entity: Entity) -> bool:
    """Whether its trace is one that was learned from, or a part of one."""
    record = TraceRecord.of(entity)
    is_told = record.state in ("learned", "no_lesson") or record.is_part
    return is_told and not record.is_gone and "judgement" in entity.metadata


def _subject(entity: Entity) -> Subject:
    metadata: Mapping[str, Any] = entity.metadata
    return Subject(
        trace_id=metadata["trace_id"],
        session_id=metadata["session_id"],
        span_ids=_judgement(entity).span_ids,
    )


def _judgement(entity: Entity) -> Judgement:
    metadata: Mapping[str, Any] = entity.metadata
    return Judgement.of_json(metadata["judgement"])
