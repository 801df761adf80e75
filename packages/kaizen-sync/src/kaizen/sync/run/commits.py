"""What goes into one commit: the records of a story's traces, and the tips that it backs or backs no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaizen.store import Delete
from kaizen.sync.cleaning import clean_text
from kaizen.sync.errors import RedactionError
from kaizen.sync.knowledge.claim_tests import ClaimTests, calls_metadata, settle
from kaizen.sync.knowledge.deleted import is_deleted
from kaizen.sync.knowledge.outcome_questions import EndedStory
from kaizen.sync.knowledge.reconcile import NewTip, Reconciled, Reconciler, update_outcome
from kaizen.sync.knowledge.shown import KnownTips
from kaizen.sync.llm.client import CHARS_PER_TOKEN
from kaizen.sync.redact import Redactor
from kaizen.sync.run.prepare import PreparedTrace
from kaizen.sync.state.records import (
    TIPS_SHOWN,
    WAS_SHOWN,
    TraceRecord,
    part_reason,
)
from kaizen.sync.state.rejudge_schedule import hour_of
from kaizen.sync.trajectory.tool_definitions import tool_versions
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.merge import unmerged_tips
from kaizen.tips.text import load_stemmer, words

if TYPE_CHECKING:
    from kaizen.store import Change, Entity, Put
    from kaizen.sync.errors import Outage
    from kaizen.sync.generate.offline.claims import PastCall
    from kaizen.sync.knowledge.reconcile import Question
    from kaizen.sync.llm.client import Model
    from kaizen.sync.model import Clock
    from kaizen.sync.run.evidence import Evidence
    from kaizen.sync.run.prepare import UnpreparedTrace
    from kaizen.sync.run.stories import LinkedStory
    from kaizen.sync.settings import SyncSettings
    from kaizen.sync.sources.base import Source
    from kaizen.sync.state.ledger import Ledger
    from kaizen.sync.state.records import State
    from kaizen.tips.tip import StoredTip, Tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a story before it is committed; `tips` only where a model found some.

    `as_of` tells whether others may have changed the story since it was linked. `outage` is the one that a
    deferred story waits for. `learned` are the tips with what backs them; `tips_dropped` counts those that
    are not learned, by reason. `calls` are those of the story, by conversation, on which claims are tested;
    `request` is what the user asked for.
    """

    linked: LinkedStory
    as_of: int
    state: State
    reason: str = ""
    tips: tuple[Tip, ...] = ()
    learned: tuple[NewTip, ...] = ()
    shown_tip_ids: tuple[str, ...] = ()
    tips_dropped: Counter[str] = field(default_factory=Counter)
    calls: Sequence[Sequence[PastCall]] = ()
    request: str = ""
    outage: Outage | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """One commit: its changes, the records of the run's own traces, and those of others before and after.

    `known` are the records that another sync made meanwhile and that need no change. `removed` counts the
    tips that are deleted.
    """

    changes: list[Change]
    records: list[TraceRecord]
    moved: list[tuple[TraceRecord, TraceRecord]] = field(default_factory=list)
    reconciled: Reconciled | None = None
    known: list[TraceRecord] = field(default_factory=list)
    removed: int = 0


class Planner:
    """Plans the commits of one run, on top of what the ledger knows at the time."""

    def __init__(
        self,
        source: Source,
        settings: SyncSettings,
        ledger: Ledger,
        evidence: Evidence,
        reconcile_model: Model,
        *,
        clock: Clock,
        deleted: Sequence[StoredTip] = (),
    ) -> None:
        """`deleted` are tips that are not to be learned again."""
        self._deleted = deleted
        self._source = source
        self._settings = settings
        self._ledger = ledger
        self._evidence = evidence
        self._clock = clock
        self.reconciler = Reconciler(None if reconcile_model.is_offline else reconcile_model)
        self._claim_tests = ClaimTests(ledger)
        self._known_tips: KnownTips | None = None

    def start(self) -> None:
        """Load the tips that agents may have been shown, by which any thread may then `attach_evidence`.

        Those are the ones that exist when the run begins to learn.
        """
        if self._known_tips is None:
            # Later it would hold up commits, and whether the model refuses would be known late.
            load_stemmer()
            self._known_tips = KnownTips(self._ledger.tips.values())

    def attach_evidence(self, result: Result) -> Result:
        """Return the result with what backs its tips, less those that the agent was shown."""
        assert self._known_tips is not None
        linked = result.linked
        tips = [tip for tip in result.tips if not is_deleted(tip, self._deleted)]
        shown = self._evidence.shown(linked, self._known_tips)
        learned = tuple(self._evidence.learned(linked, tips, shown))
        is_all_shown = bool(tips) and not learned
        # A story that tries to steer its reader confirms nothing and breaks nothing.
        is_suspect = any(new.source.is_suspect for new in learned)
        return replace(
            result,
            state="no_lesson" if result.state == "learned" and not learned else result.state,
            reason=TIPS_SHOWN if is_all_shown else result.reason,
            learned=learned,
            shown_tip_ids=tuple(dict.fromkeys(tip.id for one in shown for tip in one.tips)),
            tips_dropped=+Counter({**result.tips_dropped, WAS_SHOWN: len(tips) - len(learned)}),
            calls=() if is_suspect else self._evidence.calls(linked),
            request="" if is_suspect else self._evidence.request(linked),
        )

    def ended(self, linked: LinkedStory) -> EndedStory | None:
        """Return a story that is not stored yet as it is compared with others; None without an outcome."""
        if linked.outcome.name == "unknown":
            return None
        trajectory = linked.trajectory()
        calls = tuple(call for conversation in self._evidence.calls(linked) for call in conversation)
        return EndedStory(
            trace_id=linked.story.head,
            learned_from=linked.learned_from,
            start=linked.start_time(linked.story.head).isoformat(),
            is_success=linked.outcome.name == "success",
            offered=frozenset(tool_versions(trajectory.tools)),
            request=words(self._evidence.request(linked)),
            calls=calls,
            tokens=sum(map(len, (m.content for m in trajectory.all_messages()))) // CHARS_PER_TOKEN,
        )

    def evidence_for(self, tip: Tip, linked: LinkedStory) -> NewTip | None:
        """Return a tip with what backs it in a story that is stored; None if nothing does."""
        self.start()
        result = Result(linked=linked, as_of=self._ledger.version, state="learned", tips=(tip,))
        return next(iter(self.attach_evidence(result).learned), None)

    def prefetch_question(self, result: Result) -> Question | None:
        """Return what can be asked already about a story that waits for its turn; None for nothing."""
        if not result.learned:
            return None
        story_id, known = result.linked.story.head, self._ledger.standing_tips
        return self.reconciler.prefetch_question(story_id, result.learned, known)

    def question(self, result: Result) -> Question | None:
        """Return what must be asked before the story can be committed as of now; None for nothing."""
        if result.state != "learned":
            return None
        # Not with the tips that go because this story replaces what it taught.
        known = self._standing(self._replaced(result.linked))
        return self.reconciler.question(result.linked.story.head, result.learned, known)

    def plan(self, result: Result) -> Plan:
        """Return the commit for a story, once `question` has nothing more to ask."""
        is_open = result.state in ("failed", "deferred")
        plan = self._plan_failed(result) if is_open else self._plan_story(result)
        for trace in result.linked.prepared.values():
            plan.changes += self._exposures(trace)
        return plan

    def plan_unprepared(self, traces: Sequence[UnpreparedTrace]) -> Plan:
        """Return one commit for traces that nothing can be learned from."""
        plan = Plan(changes=[], records=[])
        by_id = {trace.trace_id: trace for trace in traces}
        known = self._ledger.records(list(by_id))
        replaced: list[TraceRecord] = []
        for trace in by_id.values():
            before = known.get(trace.trace_id)
            if before and self.is_final(before, trace.digest):
                plan.known.append(before)
                continue
            record = self._record(trace, trace.state, trace.reason)
            if trace.state == "failed":
                record = _failed(record, before)
            elif before:
                replaced.append(before)
            plan.records.append(record)
            # Nothing is learned from its messages, so that they are not kept either.
            plan.changes.append(record.to_put(None, self._evidence.details({})))
            plan.changes += self._exposures(trace)
        self._plan_tips(plan, self._withdrawn({record.trace_id: record.tip_ids for record in replaced}))
        return plan

    def _plan_failed(self, result: Result) -> Plan:
        """Plan to try the run's own traces again; what the story backed before stays until then."""
        plan = Plan(changes=[], records=[])
        linked = result.linked
        for trace_id, trace in linked.prepared.items():
            stored = linked.stored.get(trace_id)
            record = _failed(
                self._record(trace, "failed", result.reason), TraceRecord.of(stored) if stored else None
            )
            plan.records.append(record)
            plan.changes.append(self._put(record, trace, linked))
        if not linked.prepared:
            entity = linked.stored[linked.story.head]
            before = TraceRecord.of(entity)
            # Only as a failed one is a trace found again that is not new; one that waits was not attempted.
            after = replace(before, state="failed", reason=self._redacted(result.reason))
            after = _failed(after, before) if result.state == "failed" else after
            plan.moved.append((before, after))
            plan.changes.append(after.updated(entity, self._evidence.details({})))
        return plan

    def _plan_story(self, result: Result) -> Plan:
        """Plan to learn from the head, with the others as parts of it; what any of them backed alone goes."""
        linked = result.linked
        head, is_learned = linked.story.head, linked.is_learned
        stored = {trace_id: TraceRecord.of(entity) for trace_id, entity in linked.stored.items()}
        withdrawn = self._replaced(linked)
        plan = Plan(changes=[], records=[])
        tips, backed_ids = withdrawn, list[str]()
        details: dict[str, object] = {"tips_dropped": {}}
        if is_learned:
            backed = self._ledger.backed_by(head, stored[head].tip_ids)
            known = {**self._ledger.tips, **withdrawn}
            tips = {**withdrawn, **update_outcome(self._ledger.story(head), backed, linked.outcome, known)}
        else:
            details = {
                "tips_dropped": dict(result.tips_dropped),
                "shown_tip_ids": list(result.shown_tip_ids),
                **calls_metadata(result.calls),
                "request": result.request,
            }
            plan.reconciled = self.reconciler.reconcile(result.learned, self._standing(withdrawn))
            backed_ids = plan.reconciled.backed_ids
            tips = self._claim_tests.test(
                {**withdrawn, **plan.reconciled.tips},
                result.calls,
                head=head,
                at=linked.descriptions[head].start_time,
                trace_ids=linked.trace_ids,
                unconfirmed={*backed_ids, *result.shown_tip_ids},
            )
            if result.learned and not backed_ids:
                result = replace(result, state="no_lesson", reason=TIPS_SHOWN)
        for trace_id in linked.trace_ids:
            is_head = trace_id == head
            trace = linked.prepared.get(trace_id)
            before = self._record(trace, "skipped") if trace else stored[trace_id]
            record = replace(before, story_id=linked.story.story_id)
            if not (is_head and is_learned):
                record = replace(
                    record,
                    state=result.state if is_head else "skipped",
                    reason=result.reason if is_head else part_reason(linked.story.story_id),
                    attempts=0,
                    tip_ids=tuple(backed_ids) if is_head else (),
                    learned_from=linked.learned_from if is_head else (),
                )
            if trace:
                plan.records.append(record)
                own = details if is_head else {"tips_dropped": {}}
                plan.changes.append(self._put(record, trace, linked, own))
                continue
            rebased = linked.rebased(trace_id)
            if record != before:
                plan.moved.append((before, record))
                own = {"run_id": self._evidence.run_id, **(details if is_head else {})}
                entity = rebased or self._current(linked, trace_id)
                plan.changes.append(record.updated(entity, {} if is_head and is_learned else own))
            elif rebased:
                plan.changes.append(rebased)
        self._plan_tips(plan, tips)
        return plan

    def _current(self, linked: LinkedStory, trace_id: str) -> Entity:
        """Return the record as it is now: an earlier commit of this run may have kept it in another way."""
        return self._ledger.entities([trace_id]).get(trace_id, linked.stored[trace_id])

    def _plan_tips(self, plan: Plan, tips: Mapping[str, StoredTip]) -> None:
        """Plan these tips, and those that contradict them if another one stands now."""
        if tips:
            tips = resolve_contradictions(settle(tips, self._ledger.tips), self._ledger.tips)
            changes = self._ledger.tip_changes(tips.values())
            plan.changes += changes
            plan.removed += sum(isinstance(change, Delete) and change.id in tips for change in changes)

    def _put(
        self,
        record: TraceRecord,
        trace: PreparedTrace,
        linked: LinkedStory,
        details: Mapping[str, object] | None = None,
    ) -> Put:
        judgement = {"judgement": trace.judgement.to_json()}
        details = {**self._evidence.details(trace.redacted), **judgement, **(details or {})}
        return record.to_put(trace.trajectory, details, linked.base_of(trace.trace_id))

    def _exposures(self, trace: PreparedTrace | UnpreparedTrace) -> Iterator[Put]:
        """Yield the records of which tips were chosen in a trace, and how it went."""
        if trace.exposed:
            yield from trace.exposed.to_puts(self._source.name, self._source.project)

    def _replaced(self, linked: LinkedStory) -> dict[str, StoredTip]:
        """Return the tips that a story's traces backed as they were recorded, without that evidence."""
        # What the head taught stays, if only a part of its story was recorded anew. Else it may have taught
        # something even if somebody deleted its record.
        records = {linked.story.head: (), **{i: TraceRecord.of(e).tip_ids for i, e in linked.stored.items()}}
        if linked.is_learned:
            del records[linked.story.head]
        return self._withdrawn(records)

    def _standing(self, withdrawn: Mapping[str, StoredTip]) -> Mapping[str, StoredTip]:
        """Return the tips that new ones are compared with."""
        return unmerged_tips({**self._ledger.tips, **withdrawn}) if withdrawn else self._ledger.standing_tips

    def _withdrawn(self, records: Mapping[str, Iterable[str]]) -> dict[str, StoredTip]:
        """Return the tips that these traces back, without their evidence.

        `records` are the ids of the tips that each trace is recorded to back.
        """
        withdrawn: dict[str, StoredTip] = {}
        for trace_id, tip_ids in records.items():
            for tip_id, stored in self._ledger.backed_by(trace_id, tip_ids).items():
                tip = withdrawn.get(tip_id, self._ledger.tips[tip_id])
                withdrawn[tip_id] = tip.without_story(self._ledger.story(trace_id), stored)
        return withdrawn

    def _record(self, trace: PreparedTrace | UnpreparedTrace, state: State, reason: str = "") -> TraceRecord:
        return TraceRecord(
            source=self._source.name,
            project=self._source.project,
            trace_id=trace.trace_id,
            digest=trace.digest,
            state=state,
            reason=self._redacted(reason),
            description=trace.description if isinstance(trace, PreparedTrace) else None,
            recorded_in=hour_of(self._clock()) if isinstance(trace, PreparedTrace) else "",
        )

    def _redacted(self, reason: str) -> str:
        """Return the reason, which may be a span's error text, as it may be stored and shown."""
        try:
            return Redactor(self._settings.redaction).text(clean_text(reason))
        except RedactionError as error:
            return str(error)

    def is_final(self, record: TraceRecord, digest: str) -> bool:
        """Whether a trace with this digest needs no more work in this run."""
        return not self._evidence.is_relearned and record.is_final(digest, self._settings)


def _failed(record: TraceRecord, known: TraceRecord | None) -> TraceRecord:
    """Return the record of a trace that failed once more."""
    attempts = known.attempts + 1 if known and known.digest == record.digest else 1
    # What the trace backed before stays until a later attempt replaces it.
    if known is None:
        return replace(record, attempts=attempts)
    return replace(record, attempts=attempts, tip_ids=known.tip_ids, story_id=known.story_id)
