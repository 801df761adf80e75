"""Commits results one by one, each on top of what others committed meanwhile, and counts them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaizen.sync.errors import ModelAccessError, ModelUnavailableError, outage_of
from kaizen.sync.run.isolation import failure_reason
from kaizen.sync.run.prepare import PreparedTrace, UnpreparedTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.sync.run.budget import Budget
    from kaizen.sync.run.commits import Plan, Planner, Result
    from kaizen.sync.run.comparisons import Comparisons
    from kaizen.sync.run.generation import Generator
    from kaizen.sync.run.selection import Selection
    from kaizen.sync.run.stories import Linker
    from kaizen.sync.sources.base import Annotator
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.report import Report


@dataclass(frozen=True, slots=True)
class Committer:
    """Turns results into commits; a story that others changed meanwhile is linked again first.

    `held` are the results of stories that found the model unavailable: whether it was is known later.
    """

    ledger: Ledger
    planner: Planner
    linker: Linker
    selection: Selection
    generator: Generator
    comparisons: Comparisons
    budget: Budget
    report: Report
    annotator: Annotator | None
    held: list[Result] = field(default_factory=list)

    def settle(self, result: Result) -> None:
        """Commit a story's result, or leave its traces for a later sync.

        An error that nobody foresaw fails the story and not the run.
        """
        prepared = result.linked.prepared.values()
        try:
            if result.state == "deferred" and prepared and result.outage:
                self.held.append(result)
            elif result.state == "deferred" and prepared:
                self._defer(prepared, result.reason)
            else:
                self._commit(result)
        except Exception as error:  # noqa: BLE001 - one story is isolated from the next
            self._settle_failed(result, failure_reason(error, result.linked.story.head))

    def settle_held(self) -> None:
        """Settle the stories that found the model unavailable: was it up, their own prompts are to blame."""
        if self.held:
            self.budget.end(self.generator.model.is_up)
        while self.held:
            result = self.held.pop(0)
            if result.outage and result.outage.is_up:
                reason = f"{result.outage.error}; it answers other prompts"
                self.settle(replace(result, state="failed", reason=reason, outage=None))
            else:
                self.settle(replace(result, outage=None))

    def settle_unprepared(self, traces: Sequence[UnpreparedTrace]) -> None:
        """Commit the states of these traces together, or leave them for a later sync."""
        ended = [trace for trace in traces if trace.state != "deferred"]
        try:
            self._commit_unprepared(ended)
        except Exception as error:  # noqa: BLE001 - one trace is isolated from the next
            reason = failure_reason(error, ended[0].trace_id)
            if len(ended) == 1:
                self._defer(ended, reason)
            else:
                for trace in ended:
                    self.settle_unprepared([trace])
        for trace in traces:
            if trace.state == "deferred":
                self._defer([trace], trace.reason)

    def unfinished(self, prepared: Sequence[PreparedTrace]) -> tuple[int, list[PreparedTrace]]:
        """Return those that no other sync has finished, and as of which change by others; count the rest."""
        as_of = self.ledger.changed_by_others
        known = self.ledger.records([trace.trace_id for trace in prepared])
        unfinished = []
        for trace in prepared:
            record = known.get(trace.trace_id)
            if record and self.planner.is_final(record, trace.digest):
                self.selection.count_known(record)
            else:
                unfinished.append(trace)
        return as_of, unfinished

    def _settle_failed(self, result: Result, reason: str) -> None:
        try:
            self._commit(replace(result, state="failed", reason=reason, tips_dropped=Counter()))
        except Exception as error:  # noqa: BLE001 - what cannot be stored may be in the trajectory: without it
            failure_reason(error, result.linked.story.head)
            traces = result.linked.prepared.values()
            self.settle_unprepared([UnpreparedTrace.of(trace, "failed", reason) for trace in traces])

    def _commit_unprepared(self, traces: Sequence[UnpreparedTrace]) -> None:
        for version in self.ledger.attempts() if traces else ():
            plan = self.planner.plan_unprepared(traces)
            if self._is_committed(plan, version, _commit_reason(traces)):
                return

    def _commit(self, result: Result) -> None:
        for version in self.ledger.attempts():
            # Checked anew for each attempt: the commit that was faster may be the one that changed the story.
            if result.as_of != self.ledger.changed_by_others:
                for again in self._link_again(result):
                    self.settle(again)
                return
            try:
                self.comparisons.resolve(result)
                plan = self.planner.plan(result)
            except (ModelAccessError, ModelUnavailableError) as error:
                why = self.budget.waiting_reason(error)
                self.settle(replace(result, state="deferred", reason=why, outage=outage_of(error)))
                return
            if self._is_committed(plan, version, f"trace {result.linked.story.head}: {result.state}"):
                for trace in result.linked.prepared.values():
                    self.report.redacted.update(trace.redacted)
                self.report.tips_dropped.update(result.tips_dropped)
                return

    def _link_again(self, result: Result) -> Iterator[Result]:
        """Return results for the story as others have left it.

        A story that is learned from the same traces as before needs no other model call.
        """
        before = result.linked
        as_of, unfinished = self.unfinished(list(before.prepared.values()))
        for linked in self.linker.link_stories(unfinished):
            is_same = linked.learned_from == before.learned_from
            if is_same and not (linked.is_learned or before.is_learned):
                again = replace(result, linked=linked, as_of=as_of)
                yield self.planner.attach_evidence(again) if result.state == "learned" else again
            else:
                yield self.generator.generate(linked, as_of)

    def _defer(self, traces: Iterable[PreparedTrace | UnpreparedTrace], why: str) -> None:
        for trace in traces:
            self.selection.defer(trace.trace_id, why, trace.start_time)

    def _is_committed(self, plan: Plan, version: int, reason: str) -> bool:
        """Commit a plan and count it; return False where others were faster."""
        recorded = [record.trace_id for record in plan.records]
        released = self.linker.released(recorded, {str(change.id) for change in plan.changes})
        changes = [*plan.changes, *released]
        if changes and not self.ledger.commit(
            changes, expected=version, reason=reason, run_id=self.report.run_id
        ):
            return False
        self._count(plan)
        return True

    def _count(self, plan: Plan) -> None:
        report = self.report
        for record in plan.known:
            self.selection.count_known(record)
        for record in plan.records:
            self.selection.count_processed(record)
            if record.state == "failed":
                report.failures.append(record)
        for before, after in plan.moved:
            self.selection.recount(before, after)
        if self.annotator:
            self.annotator.add([*plan.records, *(after for _, after in plan.moved)], report)
        report.tips["removed"] += plan.removed
        if reconciled := plan.reconciled:
            report.count_tips(reconciled.tips.values(), **reconciled.counts)


def _commit_reason(traces: Sequence[UnpreparedTrace]) -> str:
    if len(traces) == 1:
        return f"trace {traces[0].trace_id}: {traces[0].state}"
    states = Counter(trace.state for trace in traces)
    return f"{len(traces)} traces: " + ", ".join(f"{count} {state}" for state, count in states.items())
