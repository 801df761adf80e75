"""What goes into one commit: the records of a story's traces, and the tips it teaches or teaches no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kaizen.store import Delete
from kaizen.sync.errors import RedactionError
from kaizen.sync.knowledge.reconcile import NewTip, Reconciled, Reconciler, update_outcome
from kaizen.sync.knowledge.shown import KnownTips
from kaizen.sync.redact import Redactor
from kaizen.sync.run.stories import Draft
from kaizen.sync.state.records import TIPS_SHOWN, WAS_SHOWN, TraceRecord, part_reason, record_id, retold
from kaizen.sync.state.rejudge_schedule import hour_of
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.merge import follow_merges, unmerged_tips

if TYPE_CHECKING:
    from kaizen.store import Change, Put, Store
    from kaizen.sync.knowledge.reconcile import Question
    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import DecisionsAnswer
    from kaizen.sync.run.evidence import Evidence
    from kaizen.sync.run.prepare import Untold
    from kaizen.sync.run.stories import Telling
    from kaizen.sync.settings import SyncSettings
    from kaizen.sync.sources.base import Source
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.records import State
    from kaizen.tips.tip import StoredTip, Tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a story before it is committed; `tips` only where a model found some.

    `as_of` tells whether others may have changed the story since it was linked. `learned` are the tips with
    what backs them; `tips_dropped` counts those that are not learned, by reason.
    """

    telling: Telling
    as_of: int
    state: State
    reason: str = ""
    tips: tuple[Tip, ...] = ()
    learned: tuple[NewTip, ...] = ()
    shown_tip_ids: tuple[str, ...] = ()
    tips_dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class Plan:
    """One commit: its changes, the records of the run's own traces, and those of others before and after.

    `known` are the records that another sync made meanwhile and that need no change.
    """

    changes: list[Change]
    records: list[TraceRecord]
    moved: list[tuple[TraceRecord, TraceRecord]] = field(default_factory=list)
    reconciled: Reconciled | None = None
    known: list[TraceRecord] = field(default_factory=list)


class Planner:
    """Plans the commits of one run, on top of what the ledger knows at the time."""

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: SyncSettings,
        ledger: Ledger,
        evidence: Evidence,
        reconcile_model: Model,
    ) -> None:
        self._source = source
        self._store = store
        self._settings = settings
        self._ledger = ledger
        self._evidence = evidence
        self._reconciler = Reconciler(None if reconcile_model.is_offline else reconcile_model)
        self._known_tips: KnownTips | None = None

    def start(self) -> None:
        """Let `taught`, which any thread may call, go by the tips that agents may have been shown.

        Those are the ones that there are when the run begins to learn.
        """
        if self._known_tips is None:
            self._known_tips = KnownTips(self._ledger.tips.values())

    def taught(self, result: Result) -> Result:
        """The result with what backs its tips, less those that only say what the agent was shown."""
        assert self._known_tips is not None
        telling, tips = result.telling, result.tips
        shown = self._evidence.shown(telling, self._known_tips)
        learned = self._evidence.learned(telling, tips, shown)
        is_all_shown = bool(tips) and not learned
        return replace(
            result,
            state="no_lesson" if is_all_shown else result.state,
            reason=TIPS_SHOWN if is_all_shown else result.reason,
            learned=tuple(learned),
            shown_tip_ids=tuple(dict.fromkeys(tip.id for one in shown for tip in one.tips)),
            tips_dropped=+Counter({**result.tips_dropped, WAS_SHOWN: len(tips) - len(learned)}),
        )

    def foresee(self, result: Result) -> Question | None:
        """What can be asked already of a story that waits for its turn, where there is anything to ask."""
        story_id, learned = result.telling.story.head, result.learned
        return (
            self._reconciler.prefetch_question(story_id, learned, self._ledger.standing_tips)
            if learned
            else None
        )

    def end(self, result: Result) -> None:
        """That story is committed or left for later."""
        self._reconciler.finish(result.telling.story.head)

    def question(self, result: Result) -> Question | None:
        """What must be asked before the story can be committed as of now, where there is anything to ask."""
        if result.state != "learned":
            return None
        known = self._standing(self._replaced(result.telling))
        return self._reconciler.question(result.telling.story.head, result.learned, known)

    def ask(self, question: Question) -> DecisionsAnswer:
        """Ask a model that, in any thread; raises `ModelError`."""
        return self._reconciler.ask(question)

    def take(self, result: Result, question: Question, answer: DecisionsAnswer) -> None:
        """Keep what the model answered to a question about that story."""
        self._reconciler.record_answer(result.telling.story.head, question, answer)

    def plan(self, result: Result) -> Plan:
        """The commit for a story, once all is asked that `question` has."""
        return self._plan_failed(result) if result.state == "failed" else self._plan_story(result)

    def plan_untold(self, traces: Sequence[Untold]) -> Plan:
        """One commit for traces that nothing can be learned from."""
        plan = Plan(changes=[], records=[])
        by_id = {untold.trace_id: untold for untold in traces}
        known = self.known(list(by_id))
        replaced: list[TraceRecord] = []
        for untold in by_id.values():
            before = known.get(untold.trace_id)
            if before and self.is_final(before, untold.digest):
                plan.known.append(before)
                continue
            record = self._record(untold, untold.state, untold.reason)
            if untold.state == "failed":
                record = _failed(record, before)
            elif before:
                replaced.append(before)
            plan.records.append(record)
            plan.changes.append(record.to_put(None, self._evidence.details({})))
        plan.changes += self._tip_changes(self._withdrawn(replaced))
        return plan

    def _plan_failed(self, result: Result) -> Plan:
        """The run's own traces are tried again; what the story taught before stays until then."""
        plan = Plan(changes=[], records=[])
        telling = result.telling
        for trace_id, draft in telling.drafts.items():
            stored = telling.stored.get(trace_id)
            record = _failed(
                self._record(draft, "failed", result.reason), TraceRecord.of(stored) if stored else None
            )
            plan.records.append(record)
            plan.changes.append(self._put(record, draft))
        if not telling.drafts:
            entity = telling.stored[telling.story.head]
            before = TraceRecord.of(entity)
            reason = self._redacted(result.reason)
            after = _failed(replace(before, state="failed", reason=reason), before)
            plan.moved.append((before, after))
            plan.changes.append(retold(entity, after, self._evidence.details({})))
        return plan

    def _plan_story(self, result: Result) -> Plan:
        """The head is learned from, the others are parts of it, and what any of them taught alone goes."""
        telling = result.telling
        head, is_learned = telling.story.head, telling.is_learned
        stored = {trace_id: TraceRecord.of(entity) for trace_id, entity in telling.stored.items()}
        withdrawn = self._replaced(telling)
        plan = Plan(changes=[], records=[])
        tips, backed_ids = withdrawn, list[str]()
        details: dict[str, object] = {"tips_dropped": {}}
        if is_learned:
            judged = update_outcome(
                head, stored[head].tip_ids, telling.outcome, {**self._ledger.tips, **withdrawn}
            )
            tips = {**withdrawn, **judged}
        else:
            details = {
                "tips_dropped": dict(result.tips_dropped),
                "shown_tip_ids": list(result.shown_tip_ids),
            }
            plan.reconciled = self._reconciler.reconcile(result.learned, self._standing(withdrawn))
            tips, backed_ids = {**withdrawn, **plan.reconciled.tips}, plan.reconciled.backed_ids
        for trace_id in telling.trace_ids:
            is_head = trace_id == head
            if is_head and is_learned:
                continue
            draft = telling.drafts.get(trace_id)
            before = self._record(draft, "skipped") if draft else stored[trace_id]
            record = replace(
                before,
                state=result.state if is_head else "skipped",
                reason=result.reason if is_head else part_reason(head),
                attempts=0,
                tip_ids=tuple(backed_ids) if is_head else (),
                told_by=telling.told_by if is_head else (),
            )
            if draft:
                plan.records.append(record)
                plan.changes.append(self._put(record, draft, details if is_head else {"tips_dropped": {}}))
            elif record != before:
                plan.moved.append((before, record))
                now = {"run_id": self._evidence.run_id, **(details if is_head else {})}
                plan.changes.append(retold(telling.stored[trace_id], record, now))
        plan.changes += self._tip_changes(tips)
        return plan

    def _tip_changes(self, tips: Mapping[str, StoredTip]) -> Iterator[Change]:
        """The changes for these tips, and for those that contradict them where that changes who stands."""
        if not tips:
            return iter(())
        return map(_kept_or_deleted, resolve_contradictions(tips, self._ledger.tips).values())

    def _put(self, record: TraceRecord, draft: Draft, details: Mapping[str, object] | None = None) -> Put:
        judgement = {"judgement": draft.judgement.to_json()}
        return record.to_put(
            draft.trajectory, {**self._evidence.details(draft.redacted), **judgement, **(details or {})}
        )

    def _replaced(self, telling: Telling) -> dict[str, StoredTip]:
        """The tips that a story's traces taught by what they told before, without that."""
        valid = telling.story.head if telling.is_learned else None
        records = (TraceRecord.of(entity) for entity in telling.stored.values())
        return self._withdrawn(record for record in records if record.trace_id != valid)

    def _standing(self, withdrawn: Mapping[str, StoredTip]) -> Mapping[str, StoredTip]:
        """The tips that new ones are compared with."""
        return unmerged_tips({**self._ledger.tips, **withdrawn}) if withdrawn else self._ledger.standing_tips

    def _withdrawn(self, records: Iterable[TraceRecord]) -> dict[str, StoredTip]:
        """The tips that these traces taught, without them."""
        withdrawn: dict[str, StoredTip] = {}
        for record in records:
            for tip_id in record.tip_ids:
                if tip := follow_merges(self._ledger.tips, tip_id):
                    withdrawn[tip.id] = withdrawn.get(tip.id, tip).without_story(record.trace_id)
        return withdrawn

    def _record(self, one: Draft | Untold, state: State, reason: str = "") -> TraceRecord:
        return TraceRecord(
            source=self._source.name,
            project=self._source.project,
            trace_id=one.trace_id,
            digest=one.digest,
            state=state,
            reason=self._redacted(reason),
            description=one.description if isinstance(one, Draft) else None,
            recorded_in=hour_of(datetime.now(UTC)) if isinstance(one, Draft) else "",
        )

    def _redacted(self, reason: str) -> str:
        """Whatever a reason came from, a span's error text or our own, it is stored and shown."""
        try:
            return Redactor(self._settings.redaction).text(reason)
        except RedactionError as error:
            return str(error)

    def known(self, trace_ids: Sequence[str]) -> dict[str, TraceRecord]:
        """What the store keeps of these traces, as far as it does."""
        ids = [record_id(self._source.name, self._source.project, trace_id) for trace_id in trace_ids]
        entities = self._store.get_many(self._settings.namespace_id, ids)
        return {record.trace_id: record for record in map(TraceRecord.of, entities.values())}

    def is_final(self, record: TraceRecord, digest: str) -> bool:
        """Whether a trace with this digest needs no more work in this run."""
        return record.is_final(
            digest, include_errors=self._settings.include_errors, max_attempts=self._settings.max_attempts
        )


def _failed(record: TraceRecord, known: TraceRecord | None) -> TraceRecord:
    """The record of a trace that failed once more."""
    attempts = known.attempts + 1 if known and known.digest == record.digest else 1
    # What the trace taught before stays until a later attempt replaces it.
    return replace(record, attempts=attempts, tip_ids=known.tip_ids if known else ())


def _kept_or_deleted(tip: StoredTip) -> Change:
    return tip.to_put() if tip.is_backed else Delete(id=tip.id)
