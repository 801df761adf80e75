"""Tips as syncs store them, without a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.tips.tip import StoredTip, Tip, TipSource

if TYPE_CHECKING:
    from collections.abc import Iterable


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
