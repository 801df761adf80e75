"""Merge tips that are one lesson: one stays, the others lead to it, and no evidence is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.tips.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen.tips.tip import StoredTip


def unmerged_tips(tips: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
    """Return the tips that were not merged into another."""
    return {tip_id: tip for tip_id, tip in tips.items() if not tip.merged_into}


def follow_merges(tips: Mapping[str, StoredTip], tip_id: str) -> StoredTip | None:
    """Return the tip itself, or what it was merged into, however often; None if that is gone."""
    seen: set[str] = set()
    while (tip := tips.get(tip_id)) and tip.merged_into:
        seen.add(tip_id)
        # Metadata that somebody edited may lead in a circle.
        if tip.merged_into in seen:
            return None
        tip_id = tip.merged_into
    return tip


def wordings(tip: StoredTip) -> dict[str, str]:
    """Return what was merged into the tip, and its own content, by the folded text."""
    texts = [*(merged["content"] for merged in tip.merged_from), tip.content]
    return {fold(text): text for text in texts if text.strip()}


def is_fixed(tip: StoredTip) -> bool:
    """Tell whether it keeps its words and is merged into no other: a person's, or one that contradicts."""
    return tip.is_a_persons or bool(tip.opponents)


def merge(
    kept: StoredTip,
    others: Sequence[StoredTip],
    *,
    content: str = "",
    trigger: str = "",
    worded_by: Mapping[str, str] | None = None,
    support_by: Mapping[str, int] | None = None,
) -> StoredTip:
    """Return `kept` with what backs all of them, and in that wording if there is one.

    A tip that `is_fixed` keeps its own words. Evidence that is stored stays with the tip that it was found
    for, which `merged_from` names; `support_by` counts the stories of all, as far as any two share one.
    """
    tips = [kept, *others]
    if is_fixed(kept) or not content:
        content, trigger, worded_by = kept.content, "", None
    merged_from = [*(merged for tip in tips for merged in tip.merged_from), *map(_merged, others)]
    if fold(kept.content) != fold(content):
        merged_from.append(_merged(kept))
    merged = kept.with_metadata(
        trigger=trigger or next((tip.trigger for tip in tips if tip.trigger), ""),
        implementation_steps=merge_steps(tips),
        merged_from=merged_from,
        worded_by=dict(worded_by or kept.worded_by) or None,
        kept_apart=list(dict.fromkeys(tip_id for tip in tips for tip_id in tip.kept_apart)) or None,
    )
    return merged.with_content(content).with_evidence_of(others, support_by)


def retire_merged(tip: StoredTip, into: StoredTip) -> StoredTip:
    """Return the tip as what leads to the one it was merged into: its words stay, its evidence backs that."""
    return tip.without_evidence().with_metadata(status="retired", merged_into=into.id)


def merge_steps(tips: Iterable[StoredTip]) -> list[str]:
    """Return the steps of all of them, each once, those of the first tip first."""
    steps: dict[str, str] = {}
    for tip in tips:
        for step in tip.implementation_steps:
            steps.setdefault(fold(step), step)
    return list(steps.values())


def _merged(tip: StoredTip) -> dict[str, str]:
    return {"id": tip.id, "content": tip.content}
