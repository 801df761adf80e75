"""The sync, in order: index -> fetch -> trajectory -> redact -> tips -> reconcile -> commit.

The only module that knows this order. Traces are generated concurrently and committed one by one in the
order of the index, each with its tips and its state in one commit, so that a sync may be killed anywhere and
the same input gives the same store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from kaizen.store import ConflictError, Delete
from kaizen.store.ids import uuid7
from kaizen.sync.errors import ModelAccessError, ModelError, UnknownShapeError
from kaizen.sync.llm import Meter, Model
from kaizen.sync.prompting import TIPS_PROMPT
from kaizen.sync.reconcile import Learned, Reconciled, reconcile
from kaizen.sync.records import ERRORS_EXCLUDED, QUOTE_MISSING, StoredTip, TipSource, TraceRecord, record_id
from kaizen.sync.redact import Redactor
from kaizen.sync.report import Failure, Report
from kaizen.sync.tipbook import TipBook
from kaizen.sync.tips import generate_tips, quoted_span
from kaizen.sync.trajectory import build_trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.store import Change, Store
    from kaizen.sync.model import IndexedTrace, Tip, Trace, Trajectory
    from kaizen.sync.records import State
    from kaizen.sync.settings import ModelSettings, SyncSettings
    from kaizen.sync.source import Source

_log = logging.getLogger(__name__)

_PAGE = 200
_FETCH = 50
_COMMIT_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What became of one trace before it is committed; `tips` only where the state is `learned`."""

    trace_id: str
    digest: str
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
        self._book: TipBook | None = None
        self.report = Report(
            run_id=uuid7(),
            source=source.name,
            project=source.project,
            namespace_id=settings.namespace_id,
        )

    def stop(self) -> None:
        """Take no more traces; those whose model call is under way are finished and committed."""
        self._stopping.set()

    def run(self) -> Report:
        """Process every new or changed trace; a `SourceError` or `StoreError` ends the run."""
        started = time.monotonic()
        self._store.create_namespace(self._settings.namespace_id, exist_ok=True)
        pending: deque[Future[_Result]] = deque()
        executor = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="kaizen-sync")
        try:
            wanted = self._wanted()
            while batch := list(islice(wanted, _FETCH)):
                for trace in self._fetched(batch):
                    pending.append(executor.submit(self._process, trace))
                    while len(pending) >= 2 * self._settings.concurrency:
                        self._finish(pending.popleft())
        finally:
            try:
                while pending:
                    self._finish(pending.popleft())
            finally:
                executor.shutdown(wait=False, cancel_futures=True)
                self._close_report(started)
        return self.report

    def _wanted(self) -> Iterator[IndexedTrace]:
        """The traces that need work, oldest first; all others are counted as what they are."""
        index = self._source.index()
        while page := list(islice(index, _PAGE)):
            ids = [record_id(self._source.name, self._source.project, trace.trace_id) for trace in page]
            records = self._store.get_many(self._settings.namespace_id, ids)
            now = datetime.now(UTC)
            for trace, entity_id in zip(page, ids, strict=True):
                entity = records.get(entity_id)
                known = TraceRecord.of(entity) if entity else None
                if self._needs_work(trace, known, now):
                    yield trace

    def _needs_work(self, trace: IndexedTrace, known: TraceRecord | None, now: datetime) -> bool:
        settings = self._settings
        if known and known.is_final(
            trace.digest, include_errors=settings.include_errors, max_attempts=settings.max_attempts
        ):
            self.report.count(known.state, known.reason, processed=False)
            if known.state == "failed":
                self._report_failure(known.trace_id, f"{known.reason} (given up)", known.attempts)
            return False
        waits = ""
        if not trace.is_settled(now, settings.quiet_s):
            waits = "still running"
        elif self._stopping.is_set():
            waits = "sync was stopped"
        elif settings.limit is not None and self._taken >= settings.limit:
            waits = "beyond --limit"
        if waits:
            self.report.count("deferred", waits, processed=False)
            return False
        if self._refusal:
            self._count_refused(trace.trace_id)
            return False
        self._taken += 1
        return True

    def _fetched(self, batch: Sequence[IndexedTrace]) -> Iterator[Trace]:
        missing = {trace.trace_id for trace in batch}
        for trace in self._source.fetch(batch):
            missing.remove(trace.trace_id)
            yield trace
        for _ in missing:
            self.report.count("skipped", "deleted meanwhile", processed=True)

    def _process(self, trace: Trace) -> _Result:
        """Everything that needs no store, in a worker thread. Never raises: one trace never fails another."""
        result = partial(_Result, trace_id=trace.trace_id, digest=trace.digest)
        if self._stopping.is_set():
            return result(state="deferred", reason="sync was stopped")
        if self._refusal:
            return result(state="failed", reason=self._refusal)
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
            return result(state="failed", reason=self._refusal)
        except ModelError as error:
            return result(state="failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
            _log.exception("trace %s failed", trace.trace_id)
            return result(state="failed", reason=f"internal error: {error!r}")
        state: State = "learned" if tips else "no_lesson"
        return result(state=state, trajectory=trajectory, tips=tips, redacted=redactor.counts)

    def _finish(self, future: Future[_Result]) -> None:
        result = future.result()
        if result.state == "deferred":
            self.report.count("deferred", result.reason, processed=False)
        elif result.state == "failed" and self._refusal:
            self._count_refused(result.trace_id)
        else:
            self._commit(result)
        self._update_usage()
        self._progress(self.report)

    def _commit(self, result: _Result) -> None:
        """Commit a trace with its tips and its state, on top of whatever others committed meanwhile."""
        settings = self._settings
        for _ in range(_COMMIT_ATTEMPTS):
            book = self._tipbook()
            entity_id = record_id(self._source.name, self._source.project, result.trace_id)
            entity = self._store.get_many(settings.namespace_id, [entity_id]).get(entity_id)
            known = TraceRecord.of(entity) if entity else None
            if known and known.is_final(
                result.digest, include_errors=settings.include_errors, max_attempts=settings.max_attempts
            ):
                # Another sync was faster; its result stands.
                self.report.count(known.state, known.reason, processed=False)
                return
            try:
                changes, outcome, reconciled = self._plan(result, known, book)
            except ModelAccessError as error:
                self._refusal = self._refusal or str(error)
                self._count_refused(result.trace_id)
                return
            except ModelError as error:
                result = replace(result, state="failed", reason=str(error), tips=(), trajectory=None)
                continue
            try:
                commit = self._store.commit(
                    settings.namespace_id,
                    changes,
                    expected=book.version,
                    actor="kaizen sync",
                    reason=f"trace {result.trace_id}: {outcome.state}",
                    run_id=self.report.run_id,
                )
            except ConflictError:
                book.refresh()
                continue
            book.apply(commit)
            self._count_committed(result, outcome, reconciled, removed=_deleted(changes))
            return
        raise ConflictError(
            f"namespace '{settings.namespace_id}' is changed by others faster than this sync can commit; "
            "run it again when they are done",
            namespace_id=settings.namespace_id,
        )

    def _plan(
        self, result: _Result, known: TraceRecord | None, book: TipBook
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
        withdrawn = {
            tip_id: book.tips[tip_id].without_trace(result.trace_id)
            for tip_id in (known.tip_ids if known else ())
            if tip_id in book.tips
        }
        reconciled = reconcile(self._learned(result), {**book.tips, **withdrawn}, self._reconcile_model)
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

    def _tipbook(self) -> TipBook:
        if self._book is None:
            self._book = TipBook(self._store, self._settings.namespace_id)
        return self._book

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

    def _count_refused(self, trace_id: str) -> None:
        """A model that refuses every call says nothing about a trace: nothing is recorded of it."""
        self.report.count("failed", "model refuses every call", processed=True)
        self._report_failure(trace_id, self._refusal, 0)

    def _report_failure(self, trace_id: str, reason: str, attempts: int) -> None:
        self.report.failures.append(Failure(trace_id=trace_id, reason=reason, attempts=attempts))

    def _update_usage(self) -> None:
        self.report.model_calls = self._meter.calls
        self.report.prompt_tokens = self._meter.usage.prompt_tokens
        self.report.completion_tokens = self._meter.usage.completion_tokens

    def _close_report(self, started: float) -> None:
        self._update_usage()
        self.report.stopped = self._stopping.is_set()
        self.report.duration_s = time.monotonic() - started


def _deleted(changes: Sequence[Change]) -> int:
    return sum(isinstance(change, Delete) for change in changes)
