"""Tips as syncs store them, without a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.tips.evidence import EVIDENCE, TipSource, count_stories
from kaizen.tips.reading import newest_evidence
from kaizen.tips.tip import NEWEST, StoredTip, Tip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Change, Store


def tip_source(trace_id: str, **fields: Any) -> TipSource:
    """Evidence from the first span of that trace of project `p`."""
    known = {
        "source": "phoenix",
        "project": "p",
        "trace_id": trace_id,
        "span_id": f"span-{trace_id}",
        "quote": "quoted",
        "outcome": "unknown",
        "url": f"http://localhost:6006/redirects/spans/span-{trace_id}",
    }
    return TipSource(**{**known, **fields})


def stored_tip(
    tip_id: str, content: str, *traces: str, steps: Iterable[str] = (), trigger: str = "", **metadata: Any
) -> StoredTip:
    """A tip that these traces taught; with no trace one that a person wrote."""
    if not traces:
        fields = {"creation_mode": "manual", "status": "active", "support": 0, "sources": [], **metadata}
        return StoredTip(id=tip_id, content=content, metadata={**fields, "trigger": trigger})
    tip = Tip(
        content=content,
        category="strategy",
        rationale="because",
        trigger=trigger,
        implementation_steps=tuple(steps),
        task_description="",
        quote="quoted",
    )
    made = StoredTip.create(tip_id, tip, tip_source(traces[0]), quarantine_reason="", provenance=metadata)
    for trace_id in traces[1:]:
        made = made.with_source(tip_source(trace_id))
    return made


def changes_of(*tips: StoredTip) -> list[Change]:
    """The changes that store these tips with their evidence."""
    return [change for tip in tips for change in tip.to_changes()]


def evidence_by_tip(store: Store, namespace_id: str = "kaizen") -> dict[str, list[str]]:
    """The traces that back each tip, by its id, after a check of what both say of each other.

    A tip counts just the evidence that is stored, shows the newest of it, and no evidence is of no tip.
    """
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for entity in store.iterate(namespace_id, type="guideline"):
        tip = StoredTip.of(entity)
        evidence = newest_evidence(store, namespace_id, tip)
        assert not tip.unstored
        assert tip.support_by == count_stories(evidence)
        assert tip.support == sum(tip.support_by.values())
        assert min(tip.support, NEWEST) <= len(tip.sources) <= NEWEST
        assert {source.story for source in tip.evidence} <= {each.source.story for each in evidence}
        assert seen.isdisjoint(each.id for each in evidence)
        seen |= {each.id for each in evidence}
        found[tip.id] = sorted(each.source.trace_id for each in evidence)
    assert seen == {entity.id for entity in store.iterate(namespace_id, type=EVIDENCE)}
    return found
