"""Ask a model about runs of one task that ended differently: each way of failing once."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.store import Put
from kaizen.sync.generate.offline.calls import is_read_only
from kaizen.sync.generate.offline.differing import find_differences
from kaizen.sync.knowledge.claim_tests import settle, stored_calls
from kaizen.sync.llm.client import CHARS_PER_TOKEN
from kaizen.sync.state.records import TraceRecord, comparison_id, start_of, stored_outcome
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.text import overlap, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from kaizen.store import Change, Entity
    from kaizen.sync.generate.offline.claims import PastCall
    from kaizen.sync.knowledge.reconcile import NewTip, Question, Reconciled, Reconciler
    from kaizen.sync.llm.schemas import DecisionsAnswer
    from kaizen.sync.state.ledger import Ledger
    from kaizen.tips.tip import StoredTip

COMPARISON = "comparison"

# Of runs with the same tools so many, the newest, are compared: each failed one with each that succeeded.
_NEWEST = 200
# How much of two requests is the same if they are one task; less is enough if both tried the same changes.
_SAME_TASK = 0.5
_SAME_CHANGES = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedStory:
    """A story whose outcome is known, as far as it is compared with others; it has about so many `tokens`."""

    trace_id: str
    learned_from: tuple[str, ...]
    start: str
    is_success: bool
    offered: frozenset[str]
    request: frozenset[str]
    calls: tuple[PastCall, ...]
    tokens: int = 0

    @classmethod
    def of(cls, entity: Entity) -> EndedStory | None:
        """Read the record of a story's head; None if nothing is kept that can be compared."""
        metadata: Mapping[str, Any] = entity.metadata
        request = words(metadata.get("request") or "")
        if not request or stored_outcome(entity).name == "unknown":
            return None
        return cls(
            trace_id=metadata["trace_id"],
            learned_from=TraceRecord.of(entity).learned_from,
            start=start_of(entity),
            is_success=stored_outcome(entity).name == "success",
            offered=frozenset(metadata.get("tools") or ()),
            request=request,
            calls=tuple(call for conversation in stored_calls(entity) for call in conversation),
            tokens=len(entity.content) // CHARS_PER_TOKEN,
        )

    @property
    def changes(self) -> set[str]:
        """Return the tools that change things and that it tried to call."""
        return {call.tool for call in self.calls if not is_read_only(call.tool)}

    def likeness(self, other: EndedStory) -> float:
        """Return how alike the requests of two stories are, from 0 to 1; 0 if they are other tasks."""
        alike = overlap(self.request, other.request)
        is_same = not self.changes.isdisjoint(other.changes)
        return alike if alike >= (_SAME_CHANGES if is_same else _SAME_TASK) else 0.0


class Pair(NamedTuple):
    """A story that failed beside one of the same task that succeeded; `key` is that of the way of failing.

    `revision` is that of the note that it was asked about before, with other stories; 0 if there is none.
    """

    key: str
    failed: EndedStory
    succeeded: EndedStory
    revision: int = 0


class Answered(NamedTuple):
    """What a comparison teaches: each tip with what backs it in either story, and how many were dropped."""

    learned: Sequence[Sequence[NewTip]]
    dropped: Counter[str]


def choose_pairs(stories: Iterable[EndedStory]) -> list[Pair]:
    """Return one pair for each way of failing, with the success whose request is the most alike."""
    by_tools: defaultdict[frozenset[str], list[EndedStory]] = defaultdict(list)
    for story in stories:
        by_tools[story.offered].append(story)
    pairs: dict[str, Pair] = {}
    for offered, of_tools in by_tools.items():
        of_tools.sort(key=lambda story: (story.start, story.trace_id))
        succeeded = [story for story in of_tools if story.is_success][-_NEWEST:]
        for failed in [story for story in of_tools if not story.is_success][-_NEWEST:]:
            best = max(succeeded, key=failed.likeness, default=None)
            if best is None or not failed.likeness(best):
                continue
            if differences := find_differences(failed.calls, best.calls):
                told = repr((sorted(offered), sorted(one.key for one in differences)))
                key = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
                pairs.setdefault(key, Pair(key, failed, best))
    return list(pairs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeQuestions:
    """Asks about pairs of stories, and commits what each answer teaches with the note that it was asked.

    `ask` starts a question and returns what waits for its answer: None if the model cannot be asked now, and
    no tips if it has no usable answer. `decide` asks which known tips new ones repeat; None as before.
    `moved` is called with each record before and after a change, `counted` with what became of the tips.
    """

    ledger: Ledger
    reconciler: Reconciler
    ask: Callable[[Entity, Entity], Callable[[], Answered | None]]
    decide: Callable[[Question], DecisionsAnswer | None]
    moved: Callable[[TraceRecord, TraceRecord], None]
    counted: Callable[[Reconciled, Counter[str]], None]
    run_id: str
    at_once: int
    is_relearned: bool = False

    def learn(self) -> bool:
        """Ask what was not asked yet; return whether something must wait for a later run."""
        pairs = self.unasked()
        is_complete = True
        for start in range(0, len(pairs), self.at_once):
            batch = pairs[start : start + self.at_once]
            entities = self.ledger.entities([each.trace_id for pair in batch for each in pair[1:3]])
            asked = [
                (pair, self.ask(entities[pair.failed.trace_id], entities[pair.succeeded.trace_id]))
                for pair in batch
            ]
            for pair, answer in asked:
                answered = answer()
                is_complete &= answered is not None and self._commit(pair, answered)
        return not is_complete

    def unasked(self, new: Mapping[str, EndedStory | None] | None = None) -> list[Pair]:
        """Return the pairs that no question was about whose stories are as they were then.

        `new` are stories that are not stored yet, by the ids of their traces: None for those of no head.
        """
        found = {**self._judged("failure"), **(new or {})}
        # Most often nobody says that any of them failed.
        if all(story is None or story.is_success for story in found.values()):
            return []
        stories = list(filter(None, {**self._judged("success"), **found}.values()))
        current = {told for story in stories for told in story.learned_from}
        pairs = choose_pairs(stories)
        ids = {pair.key: self._id(pair) for pair in pairs}
        known = self.ledger.comparisons(list(ids.values()))
        unasked = [pair for pair in pairs if not self._is_asked(known.get(ids[pair.key]), current)]
        return [pair._replace(revision=_revision(known.get(ids[pair.key]))) for pair in unasked]

    def _judged(self, outcome: str) -> dict[str, EndedStory | None]:
        entities = self.ledger.judged_stories(outcome)
        return {str(entity.metadata["trace_id"]): EndedStory.of(entity) for entity in entities}

    def _is_asked(self, known: Entity | None, current: Collection[str]) -> bool:
        if known is None:
            return False
        metadata: Mapping[str, Any] = known.metadata
        is_now = not self.is_relearned or metadata["run_id"] == self.run_id
        return is_now and set(metadata["told_by"]) <= set(current)

    def _id(self, pair: Pair) -> str:
        return comparison_id(self.ledger.source, self.ledger.project, pair.key)

    def _commit(self, pair: Pair, answered: Answered) -> bool:
        """Commit the tips with the note that this was asked; False if the model must be asked later."""
        for version in self.ledger.attempts():
            if _revision(self.ledger.comparisons([self._id(pair)]).get(self._id(pair))) != pair.revision:
                # Another sync asked the same, and was faster.
                return True
            records = self.ledger.entities([pair.failed.trace_id, pair.succeeded.trace_id])
            learned = [_not_twice(backed, records) for backed in answered.learned]
            if not self._is_decided(pair.key, [backed[0] for backed in learned]):
                return False
            reconciled = self.reconciler.reconcile(
                [backed[0] for backed in learned], self.ledger.standing_tips
            )
            tips = dict(reconciled.tips)
            for backed in learned:
                _add_others(tips, backed)
            settled = resolve_contradictions(settle(tips, self.ledger.tips), self.ledger.tips)
            namings = list(_namings(records, tips))
            changes: list[Change] = [
                *self.ledger.tip_changes(settled.values()),
                *(put for _, _, put in namings),
                self._note(pair, reconciled.backed_ids),
            ]
            reason = f"trace {pair.failed.trace_id} compared with {pair.succeeded.trace_id}"
            if self.ledger.commit(changes, expected=version, reason=reason, run_id=self.run_id):
                break
        self.reconciler.finish(pair.key)
        for before, after, _ in namings:
            self.moved(before, after)
        self.counted(reconciled, answered.dropped)
        return True

    def _is_decided(self, key: str, learned: Sequence[NewTip]) -> bool:
        while question := self.reconciler.question(key, learned, self.ledger.standing_tips):
            decided = self.decide(question)
            if decided is None:
                return False
            self.reconciler.record_answer(key, question, decided)
        return True

    def _note(self, pair: Pair, tip_ids: Sequence[str]) -> Put:
        metadata = {
            "source": self.ledger.source,
            "project": self.ledger.project,
            "run_id": self.run_id,
            "failed": pair.failed.trace_id,
            "succeeded": pair.succeeded.trace_id,
            "told_by": [*pair.failed.learned_from, *pair.succeeded.learned_from],
            "tip_ids": list(tip_ids),
        }
        return Put(id=self._id(pair), type=COMPARISON, content="", metadata=metadata)


def _revision(note: Entity | None) -> int:
    return note.revision if note else 0


def _not_twice(backed: Sequence[NewTip], records: Mapping[str, Entity]) -> list[NewTip]:
    """Return what backs a tip so that a story adds nothing to what it backs already.

    What is held back stands first: the text comes from both stories.
    """
    found: list[NewTip] = []
    for new in backed:
        entity = records.get(new.source.story_id)
        known = TraceRecord.of(entity).tip_ids if entity else ()
        found.append(replace(new, shown_ids=new.shown_ids.union(known)))
    return sorted(found, key=lambda new: not new.quarantine_reason)


def _add_others(tips: dict[str, StoredTip], backed: Sequence[NewTip]) -> None:
    """Add the evidence of the other story to the tip that took in that of the first."""
    first, *others = backed
    told = (first.source.trace_id, first.source.quote)
    for tip in list(tips.values()):
        if told in {(source.trace_id, source.quote) for source in tip.evidence}:
            for other in others:
                if tip.id not in other.shown_ids:
                    tips[tip.id] = tips[tip.id].with_source(other.source)


def _namings(
    records: Mapping[str, Entity], tips: Mapping[str, StoredTip]
) -> Iterator[tuple[TraceRecord, TraceRecord, Put]]:
    """Yield the records of the stories that back a tip since now, before and after, and as they are put."""
    for trace_id, entity in records.items():
        before = TraceRecord.of(entity)
        backed = [tip.id for tip in tips.values() if trace_id in {s.story_id for s in tip.evidence}]
        if new := [tip_id for tip_id in backed if tip_id not in before.tip_ids]:
            after = replace(before, state="learned", reason="", tip_ids=(*before.tip_ids, *new))
            yield before, after, after.updated(entity, {})
