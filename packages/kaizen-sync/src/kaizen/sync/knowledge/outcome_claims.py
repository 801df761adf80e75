"""Compare runs that succeeded with runs that failed: which call did all of the former make, and no other?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.calls import is_read_only
from kaizen.sync.generate.offline.claims import Claim, called_before
from kaizen.sync.generate.offline.wording import word
from kaizen.sync.knowledge.claim_tests import (
    ClaimTests,
    ending_of,
    is_of_outcomes,
    same_lesson,
    settle,
    stored_calls,
)
from kaizen.sync.knowledge.deleted import is_deleted
from kaizen.sync.state.records import TraceRecord
from kaizen.tips.contradictions import resolve_contradictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kaizen.store import Change, Entity, Put
    from kaizen.sync.knowledge.reconcile import NewTip
    from kaizen.sync.state.ledger import Ledger
    from kaizen.tips.tip import StoredTip, Tip

_LEAST_SUCCESSES = 2
# One commit writes the record and the evidence of each.
_MOST_BACKING = 100


@dataclass(frozen=True, slots=True)
class OutcomeClaims:
    """Makes and tests the tips of a namespace that say what runs which succeeded have in common.

    They follow from all stories that are stored, so that the order in which those came makes no difference.
    `evidence_for` returns a tip with what backs it in a story, and `deleted` those that people deleted.
    """

    ledger: Ledger
    evidence_for: Callable[[Tip, Entity], NewTip | None]
    deleted: Callable[[], Sequence[StoredTip]]

    def learn(self, *, run_id: str) -> None:
        """Commit what follows from stories that changed since, a commit for each tool that changes things."""
        for tool in sorted(self.ledger.judged_tools):
            for version in () if is_read_only(tool) else self.ledger.attempts():
                changes = self._plan(tool)
                reason = f"runs that called '{tool}' compared"
                if not changes or self.ledger.commit(changes, expected=version, reason=reason, run_id=run_id):
                    break
        self.ledger.judged_tools.clear()

    def _plan(self, tool: str) -> list[Change]:
        standing = self.ledger.standing_tips.values()
        tips = {tip.id: tip for tip in standing if is_of_outcomes(tip) and tip.claim["tool"] == tool}
        # Most often nobody says that any of them failed, which one story tells.
        if not tips and next(self.ledger.stories_that_called(tool, outcome="failure"), None) is None:
            return []
        claims, successes = compare(tool, self.ledger.stories_that_called(tool))
        records = self.ledger.entities(successes[:_MOST_BACKING]) if claims else {}
        named: defaultdict[str, list[str]] = defaultdict(list)
        for claim in claims:
            known = same_lesson(word(claim), tips.values())
            if known is None and is_deleted(word(claim), self.deleted()):
                continue
            for trace_id, entity in records.items():
                if backed := self._backed(known, word(claim), entity):
                    known = tips[backed.id] = backed
                    named[trace_id].append(backed.id)
        tested = {tip.id: ClaimTests(self.ledger).test_on_others(tip) for tip in tips.values()}
        settled = resolve_contradictions(settle(tested, self.ledger.tips), self.ledger.tips)
        new = [tip for tip in settled.values() if tip != self.ledger.tips.get(tip.id)]
        return [
            *self.ledger.tip_changes(new),
            *(_naming(records[trace_id], tip_ids) for trace_id, tip_ids in named.items()),
        ]

    def _backed(self, known: StoredTip | None, tip: Tip, entity: Entity) -> StoredTip | None:
        """Return the tip that this story backs since now; None if it backed it before, or does not."""
        if known and known.id in TraceRecord.of(entity).tip_ids:
            return None
        new = self.evidence_for(tip, entity)
        if new is None or (known and known.id in new.shown_ids):
            return None
        return known.with_source(new.source) if known else new.create()


def compare(tool: str, stories: Iterable[Entity]) -> tuple[list[Claim], list[str]]:
    """Return what tells the stories that succeeded from those that failed, and the former by trace id.

    Each claim names one call that all of the former made before they called the tool, and none of the latter,
    of which one at least could have made it.
    """
    successes: list[str] = []
    common: set[str] | None = None
    not_taken, offered = set[str](), set[str]()
    for entity in stories:
        ending = ending_of(entity)
        for calls in stored_calls(entity):
            before = called_before(calls, tool, ending.outcome)
            if before is None:
                continue
            if ending.outcome == "success":
                common = before if common is None else common & before
                successes.append(str(entity.metadata["trace_id"]))
            else:
                not_taken |= before
                offered |= set(ending.offered)
        # Most often a few stories are enough to see that there is nothing.
        if common is not None and common <= not_taken:
            return [], []
    successes = sorted(set(successes))
    if common is None or len(successes) < _LEAST_SUCCESSES:
        return [], []
    tools = sorted((common - not_taken) & offered)
    return [Claim(kind="outcome", tool=tool, tools=(other,)) for other in tools], successes


def _naming(entity: Entity, tip_ids: Sequence[str]) -> Put:
    """Return the record of a story that teaches these tips too."""
    record = TraceRecord.of(entity)
    learned = replace(record, state="learned", reason="", tip_ids=(*record.tip_ids, *tip_ids))
    return learned.updated(entity, {})
