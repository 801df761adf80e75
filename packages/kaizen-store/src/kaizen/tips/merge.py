"""Tips that were merged: one stands for all, the others lead to it, and no evidence is lost. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen.tips.contradictions import opponents
from kaizen.tips.wording import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen.tips.tip import StoredTip


def merged_into(tip: StoredTip) -> str:
    """The id of the tip that it was merged into; empty where it stands for itself."""
    return str(tip.metadata.get("merged_into") or "")


def standing(tips: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
    """The tips that were not merged into another."""
    return {tip_id: tip for tip_id, tip in tips.items() if not merged_into(tip)}


def stand_in(tips: Mapping[str, StoredTip], tip_id: str) -> StoredTip | None:
    """The tip that stands for that one today: itself, or what it was merged into; None where that is gone."""
    passed: set[str] = set()
    while (tip := tips.get(tip_id)) and (into := merged_into(tip)):
        passed.add(tip_id)
        if into in passed:
            return None
        tip_id = into
    return tip


def wordings(tip: StoredTip) -> dict[str, str]:
    """All that the tip stands for, by the folded text: what was merged into it, and its own content."""
    merged_from = tip.metadata.get("merged_from")
    # People may have imported anything.
    merged = [one for one in merged_from if isinstance(one, dict)] if isinstance(merged_from, list) else []
    texts = [*(str(one.get("content") or "") for one in merged), tip.content]
    return {fold(text): text for text in texts if text.strip()}


def apart_from(tip: StoredTip) -> list[str]:
    """The ids of those that a model found to be no one lesson with it."""
    return [str(other_id) for other_id in tip.metadata.get("kept_apart") or ()]


def is_fixed(tip: StoredTip) -> bool:
    """Whether its words stay, and are merged into no other tip: a person's, or what contradicts another."""
    return tip.is_kept or bool(opponents(tip))


def is_well_formed(tip: StoredTip) -> bool:
    """Whether its lists hold what they hold in tips of ours; what people import may look otherwise."""
    sources, steps, merged_from = (
        tip.metadata.get(name) or [] for name in ("sources", "implementation_steps", "merged_from")
    )
    return (
        all(isinstance(value, list) for value in (sources, steps, merged_from))
        and all(
            isinstance(one, dict) and isinstance(one.get(key), str)
            for ones, keys in ((sources, ("trace_id", "span_id")), (merged_from, ("id", "content")))
            for one in ones
            for key in keys
        )
        and all(isinstance(step, str) for step in steps)
    )


def merge(
    kept: StoredTip,
    others: Sequence[StoredTip],
    *,
    content: str = "",
    trigger: str = "",
    worded_by: Mapping[str, str] | None = None,
) -> StoredTip:
    """`kept` with what backs all of them, in that wording if there is one and `kept` is not fixed."""
    tips = [kept, *others]
    if is_fixed(kept) or not content:
        content, worded_by = kept.content, None
        trigger = next((tip.trigger for tip in tips if tip.trigger), "")
    merged_from = [dict(one) for tip in tips for one in tip.metadata.get("merged_from") or ()]
    merged_from += [{"id": tip.id, "content": tip.content} for tip in others]
    if fold(kept.content) != fold(content):
        merged_from.append({"id": kept.id, "content": kept.content})
    metadata: dict[str, Any] = {
        **kept.metadata,
        "trigger": trigger,
        "implementation_steps": united_steps(tips),
        "merged_from": merged_from,
        **({"worded_by": dict(worded_by)} if worded_by else {}),
    }
    if kept_apart := list(dict.fromkeys(one for tip in tips for one in apart_from(tip))):
        metadata["kept_apart"] = kept_apart
    return replace(kept, content=content, metadata=metadata).united_with(others)


def retire(tip: StoredTip, into: StoredTip) -> StoredTip:
    """The tip as what leads to the one it was merged into: its words stay, its evidence has moved there."""
    metadata = {**tip.metadata, "status": "retired", "merged_into": into.id, "sources": [], "support": 0}
    return replace(tip, metadata=metadata)


def united_steps(tips: Iterable[StoredTip]) -> list[str]:
    """The steps of all of them, each once, those of the first first."""
    steps: dict[str, str] = {}
    for tip in tips:
        for step in tip.metadata.get("implementation_steps") or ():
            steps.setdefault(fold(step), step)
    return list(steps.values())
