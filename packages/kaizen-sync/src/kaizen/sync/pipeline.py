"""The sync, in order: selection -> fetch -> trajectory -> redact -> tips -> reconcile -> commit.

The only module that knows this order. Traces are generated concurrently and committed one by one in the
order of the index, each with its tips and its state in one commit, so that a sync may be killed anywhere and
the same input gives the same store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from kaizen.store import ConflictError, Delete
from kaizen.store.ids import uuid7
from kaizen.sync.claims import Claim, Claims
from kaizen.sync.errors import ModelAccessError, ModelError, UnknownShapeError
from kaizen.sync.ledger import Ledger
from kaizen.sync.llm import Meter, Model
from kaizen.sync.preview import Preview
from kaizen.sync.prompting import TIPS_PROMPT
from kaizen.sync.reconcile import Learned, Reconciled, reconcile
from kaizen.sync.records import (
    ACTOR,
    ERRORS_EXCLUDED,
    QUOTE_MISSING,
    StoredTip,
    TipSource,
    TraceRecord,
    marked_gone,
    record_id,
)
from kaizen.sync.redact import Redactor
from kaizen.sync.report import Failure, Report
from kaizen.sync.selection import Selection
from kaizen.sync.tips import generate_tips, quoted_span
from kaizen.sync.trajectory import build_trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kaizen.store import Change, Store
    from kaizen.sync.checkpoint import Checkpoint
    from kaizen.sync.model import Tip, Trace, Trajectory
    from kaizen.sync.records import State
    from kaizen.sync.settings import ModelSettings, SyncSettings
    from kaizen.sync.source import Source

_log = logging.getLogger(__name__)

STOPPED = "sync was stopped"
OVER_BUDGET = "beyond --max-cost-usd"
REFUSED = "the model refuses every call"

_COMMIT_ATTEMPTS = 50
_MARKED_AT_ONCE = 100
_RENEW_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one trace before it is committed; `tips` only where the state is `learned`."""

    trace_id: str
    digest: str
    start_time: datetime
    state: State
    reason: str = ""
    trajectory: Trajectory | None = None
    tips: tuple[Tip, ...] = ()
    redacted: Counter[str] | None = None


class Sync:
    """One run over one project of a source. Use once.

    `progress` is called after every trace with the report so far.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: SyncSettings,
        models: ModelSettings,
        *,
        progress: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._store = store
        self._settings = settings
        self._models = models
        self._progress = progress
        self._meter = Meter()
        self._tips_model = Model(models.tips_model, models, self._meter)
        self._reconcile_model = Model(models.reconcile_model, models, self._meter)
        self._stopping = threading.Event()
        self._refusal = ""
        self._taken = 0
        store.create_namespace(settings.namespace_id, exist_ok=True)
        self._ledger = Ledger(store, settings.namespace_id, source.name, source.project)
        self.report = Report(
            run_id=uuid7(),
            source=source.name,
            project=source.project,
            namespace_id=settings.namespace_id,
        )
        claim = Claim(run_id=self.report.run_id, source=source.name, project=source.project)
        self._claims = Claims(store, settings.namespace_id, self._ledger, claim)
        self._selection = Selection(
            source,
            store,
            settings,
            self._ledger,
            self.report,
            halted=self._halted,
            claim=set if settings.dry_run else self._claims.take,
        )
        self._commits = 0

    def stop(self) -> None:
        """Take no more traces; those whose model call is under way are finished and committed."""
        self._stopping.set()

    def run(self) -> Report:
        """Process every new or changed trace; a `SourceError` or `StoreError` ends the run."""
        started = time.monotonic()
        checkpoint: Checkpoint | None = None
        pending: deque[Future[_Result]] = deque()
        executor = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="kaizen-sync")
        try:
            for trace in self._source.fetch(self._selection.traces()):
                if not self._selection.admits(trace):
                    continue
                pending.append(executor.submit(self._process, trace))
                while len(pending) >= 2 * self._settings.concurrency:
                    self._finish(pending.popleft())
            while pending:
                self._finish(pending.popleft())
            self._mark_moved()
            found = self._selection.next_checkpoint()
            checkpoint = replace(found, server_version=self._source.server_version)
        finally:
            try:
                while pending:
                    self._finish(pending.popleft())
                # A run that broke off does not move the checkpoint, but what it did and cost is kept.
                self._keep(checkpoint or self._ledger.checkpoint, started)
            finally:
                executor.shutdown(wait=False, cancel_futures=True)
                self._close(started)
        return self.report

    def preview(self) -> Preview:
        """What `run` would do, without a model call and without a change to a trace's record."""
        preview = Preview(source=self._source.name, project=self._source.project)
        for trace in self._source.fetch(self._selection.traces()):
            if self._selection.admits(trace):
                preview.add(trace, include_errors=self._settings.include_errors)
        preview.price(self._tips_model)
        return preview

    def _halted(self, *, taking: bool, is_taken: bool = False) -> str:
        """Why no more traces may be taken; else one is, where it is for `taking`."""
        settings = self._settings
        if self._stopping.is_set():
            return STOPPED
        if self._refusal:
            return REFUSED
        if settings.limit is not None and self._taken >= settings.limit and not is_taken:
            return "beyond --limit"
        if settings.max_cost_usd is not None and self._meter.cost_usd >= settings.max_cost_usd:
            return OVER_BUDGET
        self._taken += taking
        return ""

    def _process(self, trace: Trace) -> _Result:
        """Everything that needs no store, in a worker thread. Never raises: one trace never fails another."""
        result = partial(_Result, trace_id=trace.trace_id, digest=trace.digest, start_time=trace.start_time)
        if why := self._halted(taking=False, is_taken=True):
            return result(state="deferred", reason=why)
        try:
            trajectory = build_trajectory(trace)
            if trajectory.outcome.name == "failure" and not self._settings.include_errors:
                return result(state="skipped", reason=ERRORS_EXCLUDED)
            redactor = Redactor()
            trajectory = redactor.trajectory(trajectory)
            tips = tuple(generate_tips(trajectory, self._tips_model))
        except UnknownShapeError as error:
            return result(state="skipped", reason=str(error))
        except ModelAccessError as error:
            self._refusal = self._refusal or str(error)
            return result(state="deferred", reason=REFUSED)
        except ModelError as error:
            return result(state="failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
            _log.exception("trace %s failed", trace.trace_id)
            return result(state="failed", reason=f"internal error: {error!r}")
        state: State = "learned" if tips else "no_lesson"
        return result(state=state, trajectory=trajectory, tips=tips, redacted=redactor.counts)

    def _finish(self, future: Future[_Result]) -> None:
        result = self._result(future)
        if result.state == "deferred":
            self._selection.defer(result.trace_id, result.reason, result.start_time)
        else:
            self._commit(result)
        self._claims.release(result.trace_id)
        self._update_usage()
        self._progress(self.report)

    def _result(self, future: Future[_Result]) -> _Result:
        while True:
            try:
                return future.result(timeout=_RENEW_EVERY_S)
            except FutureTimeoutError:
                self._claims.renew()

    def _commit(self, result: _Result) -> None:
        """Commit a trace with its tips and its state, on top of whatever others committed meanwhile."""
        settings = self._settings
        for _ in range(_COMMIT_ATTEMPTS):
            entity_id = record_id(self._source.name, self._source.project, result.trace_id)
            entity = self._store.get_many(settings.namespace_id, [entity_id]).get(entity_id)
            known = TraceRecord.of(entity) if entity else None
            if known and known.is_final(
                result.digest, include_errors=settings.include_errors, max_attempts=settings.max_attempts
            ):
                # Another sync was faster; its result stands.
                self.report.count_known(known)
                return
            try:
                changes, outcome, reconciled = self._plan(result, known)
            except ModelAccessError as error:
                self._refusal = self._refusal or str(error)
                self._selection.defer(result.trace_id, REFUSED, result.start_time)
                return
            except ModelError as error:
                result = replace(result, state="failed", reason=str(error), tips=(), trajectory=None)
                continue
            try:
                commit = self._store.commit(
                    settings.namespace_id,
                    changes,
                    expected=self._ledger.version,
                    actor=ACTOR,
                    reason=f"trace {result.trace_id}: {outcome.state}",
                    run_id=self.report.run_id,
                )
            except ConflictError:
                self._ledger.refresh()
                continue
            self._ledger.apply(commit)
            self._count_committed(result, outcome, reconciled, removed=_deleted(changes))
            return
        raise self._outpaced()

    def _plan(
        self, result: _Result, known: TraceRecord | None
    ) -> tuple[list[Change], TraceRecord, Reconciled | None]:
        """The changes of one trace: its record, the tips it backs, and those it no longer backs."""
        record = TraceRecord(
            source=self._source.name,
            project=self._source.project,
            trace_id=result.trace_id,
            digest=result.digest,
            state=result.state,
            # Whatever it came from, a span's error text or our own, it is stored and shown.
            reason=Redactor().text(result.reason),
        )
        if result.state == "failed":
            attempts = known.attempts + 1 if known and known.digest == result.digest else 1
            # What the trace taught before stays until a later attempt replaces it.
            record = replace(record, attempts=attempts, tip_ids=known.tip_ids if known else ())
            return [record.to_put(None, self._details(result))], record, None
        tips = self._ledger.tips
        withdrawn = {
            tip_id: tips[tip_id].without_trace(result.trace_id)
            for tip_id in (known.tip_ids if known else ())
            if tip_id in tips
        }
        reconciled = reconcile(
            self._learned(result), {**self._ledger.tips, **withdrawn}, self._reconcile_model
        )
        record = replace(record, tip_ids=tuple(reconciled.backed_ids))
        changes: list[Change] = [record.to_put(result.trajectory, self._details(result))]
        for tip in {**withdrawn, **reconciled.tips}.values():
            keep = tip.sources or tip.is_manual
            changes.append(tip.to_put() if keep else Delete(id=tip.id))
        return changes, record, reconciled

    def _learned(self, result: _Result) -> list[Learned]:
        learned = []
        for tip in result.tips:
            assert result.trajectory is not None
            span_id = quoted_span(result.trajectory, tip.quote)
            source = TipSource(
                source=self._source.name,
                project=self._source.project,
                trace_id=result.trace_id,
                span_id=span_id or "",
                quote=tip.quote,
                outcome=result.trajectory.outcome.name,
                url=self._source.span_url(result.trace_id, span_id or ""),
                verified=span_id is not None,
            )
            create = partial(
                StoredTip.create,
                uuid7(),
                tip,
                source,
                quarantine_reason="" if span_id is not None else QUOTE_MISSING,
                provenance={"model": self._models.tips_model, "prompt_version": TIPS_PROMPT},
            )
            learned.append(Learned(tip=tip, source=source, create=create))
        return learned

    def _details(self, result: _Result) -> dict[str, object]:
        return {
            "run_id": self.report.run_id,
            "model": self._models.tips_model,
            "prompt_version": TIPS_PROMPT,
            "redacted": dict(result.redacted or {}),
        }

    def _count_committed(
        self, result: _Result, record: TraceRecord, reconciled: Reconciled | None, *, removed: int
    ) -> None:
        report = self.report
        report.count(record.state, record.reason, processed=True)
        if record.state == "failed":
            self._report_failure(record.trace_id, record.reason, record.attempts)
        report.redacted.update(result.redacted or {})
        report.tips["removed"] += removed
        if reconciled is not None:
            report.tips["created"] += reconciled.created
            report.tips["duplicates"] += reconciled.duplicates
            report.tips["merged"] += reconciled.merged
            report.tips["contradicting"] += reconciled.contradicting
            report.tips["quarantined"] += sum(
                tip.metadata.get("status") == "quarantined" for tip in reconciled.tips.values()
            )

    def _report_failure(self, trace_id: str, reason: str, attempts: int) -> None:
        self.report.failures.append(Failure(trace_id=trace_id, reason=reason, attempts=attempts))

    def _update_usage(self) -> None:
        self.report.model_calls = self._meter.calls
        self.report.cost_usd = None if self._meter.unpriced_calls else self._meter.cost_usd
        self.report.prompt_tokens = self._meter.usage.prompt_tokens
        self.report.completion_tokens = self._meter.usage.completion_tokens

    def _mark_moved(self) -> None:
        """Records of traces that the source has no longer, or has again, say so."""
        moved = chain(self._selection.moved.items(), ((i, True) for i in self._selection.vanished()))
        while page := dict(islice(moved, _MARKED_AT_ONCE)):
            namespace_id = self._settings.namespace_id
            entities = self._store.get_many(namespace_id, list(page))
            changes = [marked_gone(entity, gone=page[entity_id]) for entity_id, entity in entities.items()]
            expected = {entity_id: entity.revision for entity_id, entity in entities.items()}
            if changes:
                # What somebody else changes just now is looked at again by the next whole index.
                with suppress(ConflictError):
                    self._store.commit(
                        namespace_id, changes, expected=expected, actor=ACTOR, reason="deleted in the source"
                    )
        self._ledger.refresh()

    def _keep(self, checkpoint: Checkpoint, started: float) -> None:
        """Put the checkpoint, and what this run did if it did anything."""
        self._close_counts(started)
        run = [self.report.to_put()] if self.report.did_anything else []
        for _ in range(_COMMIT_ATTEMPTS):
            ledger = self._ledger
            checkpoint = replace(checkpoint, endings=+ledger.endings, version=ledger.version)
            if not run and not ledger.is_far and checkpoint.says_as_much_as(ledger.kept):
                return
            try:
                commit = self._store.commit(
                    self._settings.namespace_id,
                    [checkpoint.to_put(), *run],
                    expected=ledger.version,
                    actor=ACTOR,
                    reason="how far the sync has come",
                )
            except ConflictError:
                ledger.refresh()
                continue
            ledger.apply(commit)
            return
        raise self._outpaced()

    def _outpaced(self) -> ConflictError:
        namespace_id = self._settings.namespace_id
        return ConflictError(
            f"namespace '{namespace_id}' is changed by others faster than this sync can commit; "
            "run it again when they are done",
            namespace_id=namespace_id,
        )

    def _close_counts(self, started: float) -> None:
        report = self.report
        self._update_usage()
        report.stopped = self._stopping.is_set()
        report.refusal = self._refusal
        report.reading = self._selection.reading
        report.requests = self._source.requests
        report.duration_s = time.monotonic() - started

    def _close(self, started: float) -> None:
        self._close_counts(started)
        self._claims.close()
        if self._selection.reading in ("nothing", "recent"):
            self.report.count_unseen(self._ledger.unseen)
        if self._selection.reading != "window":
            listed = {failure.trace_id for failure in self.report.failures}
            for record in self._selection.parked():
                if record.trace_id not in listed:
                    self._report_failure(record.trace_id, f"{record.reason} (given up)", record.attempts)


def _deleted(changes: Sequence[Change]) -> int:
    return sum(isinstance(change, Delete) for change in changes)
