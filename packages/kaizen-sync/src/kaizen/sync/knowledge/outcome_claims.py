"""Compare runs that succeeded with runs that failed: which call did all of the former make, and no other?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
        compared = compare(tool, self.ledger.stories_that_called(tool))
        records = self.ledger.entities(compared.successes[:_MOST_BACKING]) if compared.claims else {}
        named: defaultdict[str, list[str]] = defaultdict(list)
        for claim in compared.claims:
            for trace_id, tip in self._backed(claim, tips, records).items():
                tips[tip.id] = tip
                named[trace_id].append(tip.id)
        tested = {tip.id: ClaimTests(self.ledger).test_on_others(tip) for tip in tips.values()}
        settled = resolve_contradictions(settle(tested, self.ledger.tips), self.ledger.tips)
        new = [tip for tip in settled.values() if tip != self.ledger.tips.get(tip.id)]
        learned = [_naming(records[trace_id], tip_ids) for trace_id, tip_ids in named.items()]
        return [*self.ledger.tip_changes(new), *learned]

    def _backed(
        self, claim: Claim, tips: Mapping[str, StoredTip], records: Mapping[str, Entity]
    ) -> dict[str, StoredTip]:
        """Return the tip that makes this claim, after each story that backs it since now, by trace id."""
        worded = word(claim)
        tip = same_lesson(worded, tips.values())
        if tip is None and is_deleted(worded, self.deleted()):
            return {}
        backed: dict[str, StoredTip] = {}
        for trace_id, entity in records.items():
            if tip and tip.id in _taught_or_shown(entity):
                continue
            new = self.evidence_for(worded, entity)
            if new and not (tip and tip.id in new.shown_ids):
                backed[trace_id] = tip = tip.with_source(new.source) if tip else new.create()
        return backed


@dataclass(slots=True)
class Compared:
    """What stories that called a tool did before, by how they ended."""

    tool: str
    succeeded: set[str] = field(default_factory=set)
    common: set[str] | None = None
    """The calls of all that succeeded; None before the first."""
    excluded: set[str] = field(default_factory=set)
    """The calls of those that failed."""
    offered: set[str] = field(default_factory=set)

    def add(self, entity: Entity) -> None:
        ending = ending_of(entity)
        for calls in stored_calls(entity):
            before = called_before(calls, self.tool, ending.outcome)
            if before is not None and ending.outcome == "success":
                self.succeeded.add(str(entity.metadata["trace_id"]))
                self.common = before if self.common is None else self.common & before
            elif before is not None:
                self.excluded |= before
                self.offered |= set(ending.offered)

    @property
    def is_decided(self) -> bool:
        """Return whether no further story can leave a claim."""
        return self.common is not None and self.common <= self.excluded

    @property
    def successes(self) -> list[str]:
        return sorted(self.succeeded)

    @property
    def claims(self) -> list[Claim]:
        """Return one for each call of all that succeeded and of none that failed, if one of these could."""
        if self.common is None or len(self.succeeded) < _LEAST_SUCCESSES:
            return []
        tools = sorted((self.common - self.excluded) & self.offered)
        return [Claim(kind="outcome", tool=self.tool, tools=(other,)) for other in tools]


def compare(tool: str, stories: Iterable[Entity]) -> Compared:
    """Compare the stories that called a tool; most often a few are enough to see that there is no claim."""
    compared = Compared(tool)
    for entity in stories:
        compared.add(entity)
        if compared.is_decided:
            break
    return compared


def _taught_or_shown(entity: Entity) -> set[str]:
    """Return the tips that a story backs already or was shown: it adds nothing to them."""
    metadata: Mapping[str, Any] = entity.metadata
    return {*TraceRecord.of(entity).tip_ids, *metadata.get("shown_tip_ids", ())}


def _naming(entity: Entity, tip_ids: Sequence[str]) -> Put:
    """Return the record of a story that teaches these tips too."""
    record = TraceRecord.of(entity)
    learned = replace(record, state="learned", reason="", tip_ids=(*record.tip_ids, *tip_ids))
    return learned.updated(entity, {})
