"""The sync, in order: selection -> fetch -> trajectory -> redact -> tips -> reconcile -> commit.

The only module that knows this order. Stories are generated concurrently and committed one by one in the
order of the index, each with its tips and the states of its traces in one commit, so that a sync may be
killed anywhere and the same input gives the same store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from kaizen.store import ConflictError, Delete, uuid7
from kaizen.sync.cleaning import clean_trace
from kaizen.sync.errors import ModelAccessError, ModelError, SourceError
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.llm.client import Meter, Model
from kaizen.sync.outcomes.judge import Judge
from kaizen.sync.run.commits import Planner, Result
from kaizen.sync.run.evidence import Evidence
from kaizen.sync.run.prepare import Untold, read_trace
from kaizen.sync.run.preview import Preview, as_it_is
from kaizen.sync.run.rejudge import Rejudging
from kaizen.sync.run.selection import Selection
from kaizen.sync.run.stories import Draft, Linker
from kaizen.sync.run.workers import Pending
from kaizen.sync.sources.base import StoppableSource
from kaizen.sync.state.claims import Claims
from kaizen.sync.state.ledger import Ledger
from kaizen.sync.state.records import ACTOR, Claim
from kaizen.sync.state.report import Failure, Report
from kaizen.tips.reading import migrate_tips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from kaizen.store import Put, Store
    from kaizen.sync.knowledge.reconcile import Question
    from kaizen.sync.llm.schemas import DecisionsAnswer
    from kaizen.sync.model import Annotation, Trace
    from kaizen.sync.run.commits import Plan
    from kaizen.sync.run.stories import Telling
    from kaizen.sync.settings import ModelSettings, SyncSettings
    from kaizen.sync.sources.base import Annotator, Source
    from kaizen.sync.state.checkpoint import Checkpoint
    from kaizen.sync.state.records import State

T = TypeVar("T")

_log = logging.getLogger(__name__)

STOPPED = "sync was stopped"
OVER_BUDGET = "beyond --max-cost-usd"
REFUSED = "the model refuses every call"

_BATCH = 64
_RENEW_EVERY_S = 30.0
_REQUESTS_IF_IDLE = 1
_REQUESTS = 10
"""How many requests one run makes to ask again what was said of traces that it has learned from."""


class Sync:
    """One run over one project of a source. Use once.

    `progress` is called with the report so far whenever traces are committed; `annotator` is told what became
    of each trace.
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
    ) -> None:
        if settings.dry_run:
            store = as_it_is(store, settings.namespace_id)
        else:
            store.create_namespace(settings.namespace_id, exist_ok=True)
        self._source = source
        self._store = store
        self._settings = settings
        self._progress = progress
        self._annotator = annotator
        self._meter = Meter()
        self._tips_model = Model(models.tips_model, models, self._meter)
        self._stopping = threading.Event()
        self._refusal = ""
        self._taken = 0
        self._started = time.monotonic()
        self._ledger = Ledger(store, settings.namespace_id, source.name, source.project)
        self._linker = Linker(store, settings.namespace_id, source.name, source.project)
        self.report = Report(
            run_id=uuid7(),
            source=source.name,
            project=source.project,
            namespace_id=settings.namespace_id,
        )
        self._judge = Judge(source, settings.outcome_rules)
        self._rejudging = Rejudging(store, settings, self._ledger, self._linker, self._judge, self.report)
        claim = Claim(run_id=self.report.run_id, source=source.name, project=source.project)
        self._claims = Claims(store, settings.namespace_id, self._ledger, claim, self._run_so_far)
        self._selection = Selection(
            source,
            store,
            settings,
            self._ledger,
            self.report,
            halted=self._halted,
            claim=set if settings.dry_run else self._claims.take,
        )
        evidence = Evidence(source=source, run_id=self.report.run_id, model=models.tips_model)
        reconcile_model = Model(models.reconcile_model, models, self._meter)
        self._planner = Planner(source, store, settings, self._ledger, evidence, reconcile_model)
        self._pending = Pending(settings.concurrency)
        self._foreseen: dict[str, tuple[Question, Future[DecisionsAnswer]]] = {}

    def stop(self) -> None:
        """Take no more traces; those whose model call is under way are finished and committed."""
        self._stopping.set()
        if isinstance(self._source, StoppableSource):
            self._source.stop()

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
                self._take(batch)
            self._finish_all()
            self._selection.mark_moved()
            self._ask_again()
            found = self._selection.next_checkpoint()
            checkpoint = replace(found, server_version=self._source.server_version)
        finally:
            try:
                self._finish_all()
                if self._annotator:
                    self._annotator.close(self.report)
                # A run that broke off does not move the checkpoint, but what it did and cost is kept.
                self._keep(checkpoint or self._ledger.checkpoint)
            finally:
                self._pending.close()
                self._close()
        return self.report

    def preview(self) -> Preview:
        """What `run` would do, without a model call and without a change to a trace's record."""
        preview = Preview(source=self._source.name, project=self._source.project)
        for batch in self._batches():
            drafts = [one for one in batch if isinstance(one, Draft)]
            preview.skipped += len(batch) - len(drafts)
            for telling in self._linker.tellings(drafts):
                preview.add(telling, self._tips_model)
        preview.price(self._tips_model)
        return preview

    def _batches(self) -> Iterator[list[Draft | Untold]]:
        """The traces to work on, a few at a time, since those of one story are often side by side.

        What is done of the batches before is committed meanwhile.
        """
        batch: list[Trace] = []
        try:
            for trace in map(clean_trace, self._source.fetch(self._selection.traces())):
                if self._selection.admits(trace):
                    batch.append(trace)
                if self._pending.is_next_done:
                    self._finish(self._pending.pop())
                self._finish_done()
                if len(batch) == _BATCH:
                    yield list(self._read(batch, self._said_of(batch)))
                    batch = []
            said = self._said_of(batch)
        except SourceError:
            # Without what is said of them, which is asked for again later.
            yield list(self._read(batch, {}))
            raise
        yield list(self._read(batch, said))

    def _finish_done(self) -> None:
        """Commit what is done, unless the workers would soon have nothing to do."""
        self._look_ahead()
        while self._pending.is_next_done and not self._pending.is_short:
            self._finish(self._pending.pop())

    def _said_of(self, traces: Sequence[Trace]) -> Mapping[str, Sequence[Annotation]]:
        return {} if self._halted(taking=False, is_taken=True) else self._judge.said_of(traces)

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

    def _read(
        self, traces: Sequence[Trace], said: Mapping[str, Sequence[Annotation]]
    ) -> Iterator[Draft | Untold]:
        settings = self._settings
        for trace in traces:
            if why := self._halted(taking=False, is_taken=True):
                yield Untold.of(trace, "deferred", why)
            else:
                yield read_trace(
                    trace,
                    self._judge,
                    said.get(trace.trace_id, ()),
                    include_errors=settings.include_errors,
                    redaction=settings.redaction,
                )
            self._finish_done()

    def _take(self, batch: Sequence[Draft | Untold]) -> None:
        """Start what is to do, in the order in which to commit it: a story goes by the last of its traces."""
        untold = [one.trace_id for one in batch if isinstance(one, Untold) and one.state == "skipped"]
        drafts = [one for one in batch if isinstance(one, Draft)]
        as_of, own = self._own(drafts)
        tellings = self._linker.tellings(own, untold=untold)
        if self._pending.concerns(tellings):
            self._finish_all()
            tellings = self._linker.tellings(own, untold=untold)
        by_last = {list(telling.drafts)[-1]: telling for telling in tellings if telling.drafts}
        if tellings:
            self._planner.start()
        tell = partial(self._tell, as_of=as_of)
        for one in batch:
            if isinstance(one, Untold):
                self._pending.add(one)
            elif one.trace_id in by_last:
                self._pending.tell(by_last[one.trace_id], tell)
        for telling in tellings:
            if not telling.drafts:
                self._pending.tell(telling, tell)

    def _own(self, drafts: Sequence[Draft]) -> tuple[int, list[Draft]]:
        """Those still to be told; where another sync was faster, its result stands and is counted."""
        as_of = self._ledger.changed_by_others
        known = self._planner.known([draft.trace_id for draft in drafts])
        own = []
        for draft in drafts:
            record = known.get(draft.trace_id)
            if record and self._planner.is_final(record, draft.digest):
                self._selection.count_known(record)
            else:
                own.append(draft)
        return as_of, own

    def _tell(self, telling: Telling, as_of: int) -> Result:
        """Ask the model about a story, in a worker thread. Never raises: one story never fails another."""
        result = partial(Result, telling=telling, as_of=as_of)
        if telling.is_learned:
            return result(state="learned")
        if why := self._halted(taking=False, is_taken=True):
            return result(state="deferred", reason=why)
        try:
            generated = generate_tips(telling.trajectory(), self._tips_model)
            state: State = "learned" if generated.tips else "no_lesson"
            told = result(state=state, tips=generated.tips, tips_dropped=generated.dropped)
            return self._planner.taught(told)
        except ModelAccessError as error:
            self._refusal = self._refusal or str(error)
            return result(state="deferred", reason=REFUSED)
        except ModelError as error:
            return result(state="failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - one story is isolated from the next
            _log.exception("trace %s failed", telling.story.head)
            return result(state="failed", reason=f"internal error: {error!r}")

    def _finish_all(self, *, but: int = 0) -> None:
        while len(self._pending) > but:
            self._finish(self._pending.pop())

    def _finish(self, next_: Future[Result] | list[Untold]) -> None:
        if isinstance(next_, list):
            self._settle_untold(next_)
            traces: Sequence[Draft | Untold] = next_
        else:
            result = self._awaited(next_)
            self._settle(result)
            self._planner.end(result)
            self._foreseen.pop(result.telling.story.head, None)
            traces = list(result.telling.drafts.values())
        for one in traces:
            self._claims.release(one.trace_id)
            self.report.share = self._selection.share_done(one.start_time)
        self.report.count_usage(self._meter)
        self._progress(self.report)

    def _awaited(self, future: Future[T]) -> T:
        while True:
            is_done = future.done()
            self._look_ahead()
            if is_done:
                return future.result()
            self._pending.wait(_RENEW_EVERY_S)
            self._claims.renew()

    def _settle(self, result: Result) -> None:
        drafts = result.telling.drafts.values()
        if result.state != "deferred":
            self._commit(result)
        elif drafts:
            self._defer(drafts, result.reason)
        else:
            # Only as a failed one is a trace found again that is not new.
            self._commit(replace(result, state="failed"))

    def _defer(self, traces: Iterable[Draft | Untold], why: str) -> None:
        for one in traces:
            self._selection.defer(one.trace_id, why, one.start_time)

    def _commit(self, result: Result) -> None:
        """Commit a story with its tips and its traces' states, on top of what others committed meanwhile."""
        for version in self._ledger.attempts():
            if result.as_of != self._ledger.changed_by_others:
                for again in self._linked_again(result):
                    self._settle(again)
                return
            try:
                self._compare(result)
                plan = self._planner.plan(result)
            except ModelAccessError as error:
                self._refusal = self._refusal or str(error)
                self._settle(replace(result, state="deferred", reason=REFUSED))
                return
            except ModelError as error:
                result = replace(result, state="failed", reason=str(error), tips_dropped=Counter())
                continue
            if self._is_committed(plan, version, f"trace {result.telling.story.head}: {result.state}"):
                for draft in result.telling.drafts.values():
                    self.report.redacted.update(draft.redacted)
                self.report.tips_dropped.update(result.tips_dropped)
                return

    def _look_ahead(self) -> None:
        """Have a model compare the tips of stories that wait for their turn, as far as they are told."""
        for result in self._pending.told():
            self._foresee(result)

    def _foresee(self, result: Result) -> None:
        story_id = result.telling.story.head
        if foreseen := self._foreseen.get(story_id):
            asked, answer = foreseen
            if not answer.done() or answer.exception():
                return
            self._planner.take(result, asked, answer.result())
            del self._foreseen[story_id]
        if question := self._planner.foresee(result):
            self._foreseen[story_id] = question, self._asked(question)

    def _compare(self, result: Result) -> None:
        """Have a model compare the story's tips with the known ones, as far as that was not foreseen."""
        if foreseen := self._foreseen.pop(result.telling.story.head, None):
            self._planner.take(result, foreseen[0], self._awaited(foreseen[1]))
        # Others may commit while this waits.
        while question := self._planner.question(result):
            answer = self._asked(question)
            # What nobody foresaw of this one may not have been foreseen of the next ones either.
            for told in islice(self._pending.waiting(), self._settings.concurrency):
                self._foresee(told)
            self._planner.take(result, question, self._awaited(answer))

    def _asked(self, question: Question) -> Future[DecisionsAnswer]:
        def ask() -> DecisionsAnswer:
            if self._refusal:
                raise ModelAccessError(self._refusal)
            try:
                return self._planner.ask(question)
            except ModelAccessError as error:
                self._refusal = self._refusal or str(error)
                raise

        return self._pending.hurry(ask)

    def _settle_untold(self, traces: Sequence[Untold]) -> None:
        """Commit the states of traces that nothing can be learned from, together, or leave them for later."""
        ended = [one for one in traces if one.state != "deferred"]
        for one in traces:
            if one.state == "deferred":
                self._defer([one], one.reason)
        for version in self._ledger.attempts() if ended else ():
            plan = self._planner.plan_untold(ended)
            if self._is_committed(plan, version, _reason(ended)):
                return

    def _is_committed(self, plan: Plan, version: int, reason: str) -> bool:
        """Commit a plan and count it; False where others were faster."""
        if plan.changes and not self._ledger.commit(
            plan.changes, expected=version, reason=reason, run_id=self.report.run_id
        ):
            return False
        self._count(plan)
        return True

    def _linked_again(self, result: Result) -> Iterator[Result]:
        """The result for the story as others have left it; what tells the same needs no other model call."""
        before = result.telling
        as_of, own = self._own(list(before.drafts.values()))
        for telling in self._linker.tellings(own):
            if telling.told_by == before.told_by and not (telling.is_learned or before.is_learned):
                again = replace(result, telling=telling, as_of=as_of)
                yield self._planner.taught(again) if result.state == "learned" else again
            else:
                yield self._tell(telling, as_of)

    def _count(self, plan: Plan) -> None:
        report = self.report
        for record in plan.known:
            self._selection.count_known(record)
        for record in plan.records:
            self._selection.count_processed(record)
            if record.state == "failed":
                self._report_failure(record.trace_id, record.reason, record.attempts)
        for before, after in plan.moved:
            self._selection.recount(before, after)
        if self._annotator:
            self._annotator.add([*plan.records, *(after for _, after in plan.moved)], report)
        report.tips["removed"] += sum(isinstance(change, Delete) for change in plan.changes)
        if plan.reconciled:
            report.count_tips(plan.reconciled)

    def _report_failure(self, trace_id: str, reason: str, attempts: int) -> None:
        self.report.failures.append(Failure(trace_id=trace_id, reason=reason, attempts=attempts))

    def _ask_again(self) -> None:
        """Ask what was said since of traces that were learned from, where the whole project is looked at."""
        if self._selection.reading != "window" and not self._stopping.is_set():
            is_idle = self._selection.reading == "nothing"
            try:
                self._rejudging.run(requests=_REQUESTS_IF_IDLE if is_idle else _REQUESTS)
            except (SourceError, ConflictError) as error:
                # What the run is for is done; the next one asks.
                _log.warning("could not ask what was said of earlier traces: %s", error)

    def _keep(self, checkpoint: Checkpoint) -> None:
        """Put the checkpoint, and what this run did if it did anything."""
        self._close_counts()
        is_told = self.report.did_anything or self._claims.is_kept
        self._ledger.keep(checkpoint, [self.report.to_put(ended=True)] if is_told else [])

    def _run_so_far(self) -> Put:
        self._close_counts()
        return self.report.to_put(ended=False)

    def _close_counts(self) -> None:
        report = self.report
        self.report.count_usage(self._meter)
        report.stopped = self._stopping.is_set()
        report.refusal = self._refusal
        report.reading = self._selection.reading
        report.requests = self._source.requests
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
                    self._report_failure(record.trace_id, f"{record.reason} (given up)", record.attempts)


def _reason(traces: Sequence[Untold]) -> str:
    if len(traces) == 1:
        return f"trace {traces[0].trace_id}: {traces[0].state}"
    states = Counter(one.state for one in traces)
    return f"{len(traces)} traces: " + ", ".join(f"{count} {state}" for state, count in states.items())
