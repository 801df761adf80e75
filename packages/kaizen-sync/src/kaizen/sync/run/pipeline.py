"""The sync, in order: selection -> fetch -> trajectory -> redact -> tips -> reconcile -> commit.

The only module that knows this order. Stories are generated concurrently and committed one by one in the
order of the index, each with its tips and the states of its traces in one commit, so that a sync may be
killed anywhere and the same input gives the same store.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from kaizen.store import ConflictError, CorruptDataError, UnavailableError, uuid7
from kaizen.sync.cleaning import clean_trace
from kaizen.sync.errors import SourceError
from kaizen.sync.generate.offline import quote_of_call
from kaizen.sync.knowledge.deleted import deleted_by_people
from kaizen.sync.knowledge.effects import make_verdicts
from kaizen.sync.knowledge.outcome_claims import OutcomeClaims
from kaizen.sync.knowledge.outcome_questions import Answered, EndedStory, OutcomeQuestions
from kaizen.sync.llm.client import Meter, Model
from kaizen.sync.model import Trace, utc_now
from kaizen.sync.outcomes.judge import Judge
from kaizen.sync.run.budget import Budget
from kaizen.sync.run.commits import Planner
from kaizen.sync.run.committer import Committer
from kaizen.sync.run.comparisons import Comparisons
from kaizen.sync.run.evidence import Evidence
from kaizen.sync.run.generation import Generator
from kaizen.sync.run.isolation import failure_reason
from kaizen.sync.run.prepare import (
    PreparedTrace,
    UnpreparedTrace,
    prepare_trace,
    stored_batches,
    stored_traces,
)
from kaizen.sync.run.preview import Preview, read_only_view
from kaizen.sync.run.rejudge import Rejudging
from kaizen.sync.run.selection import Selection
from kaizen.sync.run.stories import Linker
from kaizen.sync.run.workers import StoryQueue
from kaizen.sync.slices import Slice, cut_slices
from kaizen.sync.sources.base import IncompleteSource, StoppableSource
from kaizen.sync.state.claims import Claims
from kaizen.sync.state.exposures import EXPOSURE
from kaizen.sync.state.ledger import Ledger
from kaizen.sync.state.records import ACTOR, TraceRecord
from kaizen.sync.state.report import Report
from kaizen.tips.reading import migrate_tips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from kaizen.store import Entity, Put, Store
    from kaizen.sync.knowledge.reconcile import NewTip, Reconciled
    from kaizen.sync.model import Annotation, Clock, IndexedTrace
    from kaizen.sync.run.commits import Result
    from kaizen.sync.run.stories import LinkedStory
    from kaizen.sync.settings import ModelSettings, SyncSettings
    from kaizen.sync.sources.base import Annotator, Source
    from kaizen.sync.state.checkpoint import Checkpoint
    from kaizen.tips.tip import Tip

_log = logging.getLogger(__name__)

_BATCH = 64
_REQUESTS_IF_IDLE = 1
# How many requests one run makes to read annotations again: a source that is asked every minute stays idle.
_REQUESTS = 10
# All records of experiments are read for verdicts: again when a tenth of them is new.
_VERDICTS_EVERY = 10


class Sync:
    """One run over one project of a source. Use once.

    `progress` is called with the report so far whenever traces are committed; `annotator` writes what became
    of each trace into the source; `clock` gives the time in UTC. With `relearn` it learns again from what the
    store keeps of the project, and asks the source for nothing; several runs may share a `run_id`. Each
    attempt at a model call is made inside of `admit()`, which may wait, or raise a `ModelError`.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: SyncSettings,
        models: ModelSettings,
        *,
        progress: Callable[[Report], None] = lambda _: None,
        annotator: Annotator | None = None,
        clock: Clock = utc_now,
        relearn: bool = False,
        run_id: str = "",
        admit: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        namespace_id = settings.namespace_id
        self._relearn = relearn
        if settings.dry_run:
            store = read_only_view(store, namespace_id)
        else:
            store.create_namespace(namespace_id, exist_ok=True)
        self._source = source
        self._store = store
        self._settings = settings
        self._progress = progress
        self._annotator = annotator
        self._started = time.monotonic()
        self._meter = Meter(admit=admit)
        self._budget = Budget(settings, self._meter)
        stopping = self._budget.stopping
        self._tips_model = Model(models.tips_model, models, self._meter, stopping=stopping)
        self.report = Report(
            run_id=run_id or uuid7(),
            source=source.name,
            project=source.project,
            namespace_id=namespace_id,
            started_at=clock(),
        )
        self._ledger = ledger = Ledger(store, namespace_id, source.name, source.project)
        self._linker = Linker(store, namespace_id, source.name, source.project)
        self._judge = Judge(source, settings.outcome_rules)
        self._rejudging = Rejudging(
            store, settings, ledger, self._linker, self._judge, self.report, clock=clock
        )
        self._claims = Claims(
            store, ledger, self.report.run_id, self._run_so_far, clock=clock, dry_run=settings.dry_run
        )
        self._listed: Iterable[IndexedTrace] | None = None
        self._selection = Selection(
            source, store, settings, ledger, self.report, self._budget, self._claims, clock=clock
        )
        evidence = Evidence(
            source=source, run_id=self.report.run_id, model=models.tips_model, is_relearned=relearn
        )
        reconcile_model = Model(models.reconcile_model, models, self._meter, stopping=stopping)
        deleted = deleted_by_people(store, namespace_id) if relearn else ()
        self._planner = Planner(
            source, settings, ledger, evidence, reconcile_model, clock=clock, deleted=deleted
        )
        self._queue = StoryQueue(settings.concurrency)
        trust_model = models.trust_model and Model(models.trust_model, models, self._meter, stopping=stopping)
        self._generator = Generator(self._tips_model, trust_model or None, self._planner, self._budget)
        self._comparisons = Comparisons(
            self._planner,
            self._queue,
            self._budget,
            concurrency=settings.concurrency,
            renew=self._claims.renew,
        )
        self._committer = Committer(
            ledger,
            self._planner,
            self._linker,
            self._selection,
            self._generator,
            self._comparisons,
            self._budget,
            self.report,
            annotator,
        )

    def stop(self) -> None:
        """Take no more traces; those whose model call is under way are finished and committed."""
        self._budget.stop()
        if isinstance(self._source, StoppableSource):
            self._source.stop()

    def cut(self, *, size: int, at_most: int) -> list[Slice]:
        """List the traces that need work; return them cut into slices of about `size`, to be run elsewhere.

        Return nothing if there are no more than `at_most`: then `run` works on them, without listing again.
        """
        listing = self._selection.traces()
        first = list(islice(listing, at_most + 1))
        if len(first) <= at_most:
            self._listed = first
            return []
        # Whoever works on the slices must find them free.
        self._claims.close()
        self._claims.take_no_more()
        slices = cut_slices((trace.start_time for trace in chain(first, listing)), size)
        self._queue.close()
        return slices

    def run(self) -> Report:
        """Process every new or changed trace; a `SourceError` or `StoreError` ends the run."""
        self._started = time.monotonic()
        if migrate_tips(self._store, self._settings.namespace_id, actor=ACTOR):
            self._ledger.refresh()
        checkpoint: Checkpoint | None = None
        # While a batch is read and linked, the one before must keep all workers busy.
        enough = _BATCH + 2 * self._settings.concurrency
        try:
            for batch in self._batches():
                self._finish_all(but=enough)
                self._start(batch)
            self._finish_all()
            self._committer.settle_held()
            self._selection.mark_moved()
            self._ask_again()
            self._make_verdicts()
            found = self._selection.next_checkpoint()
            checkpoint = replace(found, server_version=self._source.server_version)
        finally:
            try:
                self._finish_all()
                self._committer.settle_held()
                self._compare_outcomes()
                if self._annotator:
                    self._annotator.close(self.report)
                # A run that broke off does not move the checkpoint, but what it did and cost is kept.
                self._keep(checkpoint or self._ledger.checkpoint)
            finally:
                self._queue.close()
                self._close()
        return self.report

    def preview(self) -> Preview:
        """Return what `run` would do, without a model call and without a change to a trace's record."""
        preview = Preview(source=self._source.name, project=self._source.project)
        ended: dict[str, EndedStory | None] = {}
        for batch in self._batches():
            prepared = [trace for trace in batch if isinstance(trace, PreparedTrace)]
            stories, failed = self._link(prepared)
            preview.skipped += len(batch) - len(prepared) + len(failed)
            for linked in stories:
                preview.add(linked, self._tips_model)
                ended |= dict.fromkeys(linked.trace_ids) | {linked.story.head: self._planner.ended(linked)}
        if not self._tips_model.is_offline:
            preview.compare(self._outcome_questions().unasked(ended))
        preview.price(self._tips_model)
        return preview

    def _batches(self) -> Iterator[list[PreparedTrace | UnpreparedTrace]]:
        """Yield the traces to work on, a few at a time, since those of one story are often side by side.

        What is done of the batches before is committed meanwhile.
        """
        if self._relearn:
            yield from self._stored_batches()
            return
        batch: list[Trace | UnpreparedTrace] = []
        try:
            for trace in self._source.fetch(self._listed_traces()):
                self.report.traces_read += 1
                if self._selection.admits(trace):
                    batch.append(_cleaned(trace))
                if self._queue.is_next_done:
                    self._finish(self._queue.pop())
                self._finish_done()
                if len(batch) == _BATCH:
                    yield list(self._prepare(batch, self._annotations_of(batch)))
                    batch = []
            annotations = self._annotations_of(batch)
        except SourceError:
            # Without their annotations, which are asked for again later: what was read so far is whole.
            yield list(self._prepare(batch, {}))
            raise
        yield list(self._prepare(batch, annotations))

    def _listed_traces(self) -> Iterable[IndexedTrace]:
        return self._selection.traces() if self._listed is None else self._listed

    def _stored_batches(self) -> Iterator[list[PreparedTrace | UnpreparedTrace]]:
        self._selection.reading = "window"
        for batch in stored_batches(self._linker, since=self._settings.since):
            if self._budget.halt_reason():
                return
            self.report.traces_read += len(batch)
            yield list(batch)

    def _annotations_of(self, batch: Sequence[Trace | UnpreparedTrace]) -> Mapping[str, Sequence[Annotation]]:
        traces = [trace for trace in batch if isinstance(trace, Trace)]
        if not traces or self._budget.halt_reason():
            return {}
        try:
            return self._judge.annotations_of(traces)
        except Exception as error:  # noqa: BLE001 - an odd one must not keep these traces from being learned
            failure_reason(error, f"{traces[0].trace_id}, or one read with it,")
            return {}

    def _prepare(
        self,
        traces: Sequence[Trace | UnpreparedTrace],
        annotations: Mapping[str, Sequence[Annotation]],
    ) -> Iterator[PreparedTrace | UnpreparedTrace]:
        for trace in traces:
            if isinstance(trace, UnpreparedTrace):
                yield trace
            elif why := self._budget.halt_reason():
                yield UnpreparedTrace.of(trace, "deferred", why)
            else:
                yield prepare_trace(
                    trace,
                    self._judge,
                    annotations.get(trace.trace_id, ()),
                    include_errors=self._settings.include_errors,
                    redaction=self._settings.redaction,
                )
            self._finish_done()

    def _start(self, batch: Sequence[PreparedTrace | UnpreparedTrace]) -> None:
        """Queue what is to do, in the order in which to commit it: a story goes by the last of its traces."""
        skipped = [t.trace_id for t in batch if isinstance(t, UnpreparedTrace) and t.state == "skipped"]
        as_of, prepared = self._committer.unfinished([t for t in batch if isinstance(t, PreparedTrace)])
        stories, failed = self._link(prepared, skipped)
        if self._queue.overlaps(stories):
            self._finish_all()
            stories, failed = self._link(prepared, skipped)
        by_last = {list(linked.prepared)[-1]: linked for linked in stories if linked.prepared}
        if stories:
            self._planner.start()
        generate = partial(self._generator.generate, as_of=as_of)
        for trace in batch:
            unprepared = trace if isinstance(trace, UnpreparedTrace) else failed.get(trace.trace_id)
            if unprepared:
                self._queue.add(unprepared)
            elif trace.trace_id in by_last:
                self._queue.submit(by_last[trace.trace_id], generate)
        for linked in stories:
            if not linked.prepared:
                self._queue.submit(linked, generate)

    def _link(
        self, prepared: Sequence[PreparedTrace], skipped: Sequence[str] = ()
    ) -> tuple[list[LinkedStory], dict[str, UnpreparedTrace]]:
        """Return the stories of these traces, and by id those that cannot be linked."""
        try:
            return self._linker.link_stories(prepared, skipped=skipped), {}
        except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
            reason = failure_reason(error, ", ".join(trace.trace_id for trace in prepared))
        failed: dict[str, UnpreparedTrace] = {}
        for trace in prepared if len(prepared) > 1 else ():
            failed |= self._link([trace])[1]
        if not failed:
            # None is to blame alone, so all of them are.
            return [], {trace.trace_id: UnpreparedTrace.of(trace, "failed", reason) for trace in prepared}
        stories, more = self._link([trace for trace in prepared if trace.trace_id not in failed], skipped)
        return stories, failed | more

    def _finish_done(self) -> None:
        """Commit what is done, unless the workers would soon have nothing to do."""
        self._comparisons.prefetch()
        while self._queue.is_next_done and not self._queue.has_idle_workers:
            self._finish(self._queue.pop())

    def _finish_all(self, *, but: int = 0) -> None:
        while len(self._queue) > but:
            self._finish(self._queue.pop())

    def _finish(self, next_: Future[Result] | list[UnpreparedTrace]) -> None:
        try:
            traces = self._settle(next_)
        except BaseException:
            # If the store is back before the run has ended, later stories are not committed before this one.
            self._queue.clear()
            raise
        for trace in traces:
            self._claims.release(trace.trace_id)
            self.report.share = self._selection.share_done(trace.start_time)
        self._count_usage()
        self._progress(self.report)

    def _settle(
        self, next_: Future[Result] | list[UnpreparedTrace]
    ) -> Sequence[PreparedTrace | UnpreparedTrace]:
        if isinstance(next_, list):
            self._committer.settle_unprepared(next_)
            return next_
        result = self._comparisons.wait_for(next_)
        self._committer.settle(result)
        self._comparisons.forget(result)
        return list(result.linked.prepared.values())

    def _ask_again(self) -> None:
        """Read the annotations of earlier traces again, if this run looks at the whole project."""
        if self._selection.reading != "window" and not self._budget.is_stopped:
            is_idle = self._selection.reading == "nothing"
            try:
                self._rejudging.run(requests=_REQUESTS_IF_IDLE if is_idle else _REQUESTS)
            except (UnavailableError, CorruptDataError):
                raise
            except Exception as error:  # noqa: BLE001 - what the run is for is done; the next one asks
                _log.warning("could not read the annotations of earlier traces: %s", error)

    def _compare_outcomes(self) -> None:
        """Learn by what runs that succeeded differ from those that failed, if this run knows of new ones."""
        deleted = partial(deleted_by_people, self._store, self._ledger.namespace_id)
        claims = OutcomeClaims(self._ledger, self._evidence_for, deleted=deleted)
        is_new = bool(self._ledger.judged_tools) or self._ledger.is_to_compare
        try:
            claims.learn(run_id=self.report.run_id)
            if is_new and not self._tips_model.is_offline:
                self._ledger.is_to_compare = self._outcome_questions().learn()
        except (UnavailableError, CorruptDataError, ConflictError):
            raise
        except Exception as error:  # noqa: BLE001 - what the run is for is done; a later one compares
            _log.warning("could not compare runs that succeeded with those that failed: %s", error)

    def _outcome_questions(self) -> OutcomeQuestions:
        self._planner.start()
        return OutcomeQuestions(
            ledger=self._ledger,
            reconciler=self._planner.reconciler,
            ask=self._ask_to_compare,
            decide=self._comparisons.decide,
            moved=self._selection.recount,
            counted=self._count_compared,
            run_id=self.report.run_id,
            at_once=self._settings.concurrency,
            is_relearned=self._relearn,
        )

    def _ask_to_compare(self, failed: Entity, succeeded: Entity) -> Callable[[], Answered | None]:
        first, second = self._linked(failed), self._linked(succeeded)
        if first is None or second is None:
            return lambda: Answered((), Counter())
        future = self._queue.submit_urgent(partial(self._generator.compare, first, second))
        return partial(self._comparisons.wait_for, future)

    def _count_compared(self, reconciled: Reconciled, dropped: Counter[str]) -> None:
        self.report.compared += 1
        self.report.tips_dropped.update(dropped)
        self.report.count_tips(reconciled.tips.values(), **reconciled.counts)

    def _linked(self, entity: Entity) -> LinkedStory | None:
        """Return the story of a head's record, as it is stored."""
        record = TraceRecord.of(entity)
        traces = stored_traces(self._linker, self._linker.recorded(record))
        stories = self._linker.link_stories(traces)
        return next((one for one in stories if one.story.head == record.trace_id), None)

    def _evidence_for(self, tip: Tip, entity: Entity) -> NewTip | None:
        linked = self._linked(entity)
        quote = linked and quote_of_call(linked.trajectory(), tip.claim["tools"][0])
        return self._planner.evidence_for(replace(tip, quote=quote), linked) if linked and quote else None

    def _make_verdicts(self) -> None:
        """Act on what the experiment shows, if enough is new since it was looked at last."""
        ledger = self._ledger
        if not ledger.exposures_changed or self._budget.is_stopped:
            return
        known = self._store.count(ledger.namespace_id, type=EXPOSURE)
        if ledger.exposures_changed * _VERDICTS_EVERY >= known:
            made = make_verdicts(self._store, ledger.namespace_id, actor=ACTOR, run_id=self.report.run_id)
            self.report.verdicts = len(made)
            ledger.refresh()
            ledger.exposures_changed = 0

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Put the checkpoint, and what this run did if it did anything."""
        self._close_counts()
        is_kept = self.report.did_anything or self._claims.is_kept
        self._ledger.keep(checkpoint, [self.report.to_put(ended=True)] if is_kept else [])

    def _run_so_far(self) -> Put:
        self._close_counts()
        return self.report.to_put(ended=False)

    def _count_usage(self) -> None:
        report, meter = self.report, self._meter
        report.model_calls = meter.calls
        report.cost_usd = None if meter.unpriced_calls else meter.cost_usd
        report.prompt_tokens = meter.usage.prompt_tokens
        report.completion_tokens = meter.usage.completion_tokens

    def _close_counts(self) -> None:
        report = self.report
        self._count_usage()
        report.stopped = self._budget.is_stopped
        report.refusal = self._budget.refusal
        report.reading = self._selection.reading
        report.requests = self._source.requests
        if isinstance(self._source, IncompleteSource):
            report.unread = dict(self._source.unread)
        report.duration_s = time.monotonic() - self._started

    def _close(self) -> None:
        self._close_counts()
        self._claims.close()
        if self._selection.reading in ("nothing", "recent"):
            self.report.count_unseen(self._ledger.unseen)
        if self._selection.reading != "window":
            listed = {failure.trace_id for failure in self.report.failures}
            for record in self._selection.parked():
                if record.trace_id not in listed:
                    self.report.failures.append(replace(record, reason=f"{record.reason} (given up)"))


def _cleaned(trace: Trace) -> Trace | UnpreparedTrace:
    try:
        return clean_trace(trace)
    except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
        return UnpreparedTrace.of(trace, "failed", failure_reason(error, trace.trace_id))
