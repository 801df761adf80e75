"""Write the tips that agents may be shown as the document that kaizen-recall reads."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kaizen.store import Where, read_pages
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.effect import current_effect, holdout_probability, served_tools, wording_revision
from kaizen.tips.reading import read_tip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kaizen.store import Store
    from kaizen.tips.tip import StoredTip

FORMAT = "kaizen-recall"
FORMAT_VERSION = 1


def recall_document(
    store: Store,
    namespace_id: str,
    *,
    where: Where | None = None,
    top: int | None = None,
    try_candidates: bool = False,
) -> str:
    """Return the active tips of a namespace as one JSON document, the best backed first.

    With `try_candidates` also the best candidate of each tool, which half of the runs are not shown.
    """
    served = served_tips(store, namespace_id, where=where, try_candidates=try_candidates)[:top]
    # One tip a line, in the form that the digest is of.
    lines = [json.dumps(tip, sort_keys=True, separators=(",", ":")) for tip in served]
    head = {
        "format": FORMAT,
        "schema_version": FORMAT_VERSION,
        "namespace": namespace_id,
        "salt": namespace_id,
        "digest": hashlib.sha256(f"[{','.join(lines)}]".encode()).hexdigest(),
    }
    tips = ",\n".join(lines)
    return f'{json.dumps(head)[:-1]}, "tips": [\n{tips}\n]}}\n'


def served_tips(
    store: Store, namespace_id: str, *, where: Where | None = None, try_candidates: bool = False
) -> list[dict[str, Any]]:
    """Return the active tips of a namespace with what a reader needs, the best backed first."""
    tips = [
        tip
        for page in read_pages(store, namespace_id, types=(GUIDELINE,), where=where or Where())
        for entity in page.entities
        if (tip := read_tip(entity)) is not None
    ]
    served = [tip for tip in tips if tip.is_active] + (_tried(tips) if try_candidates else [])
    return sorted(map(served_tip, served), key=_rank)


def _tried(tips: Iterable[StoredTip]) -> list[StoredTip]:
    """Return the best backed candidate of each tool: two at a time would be harder to tell apart."""
    best: dict[str, StoredTip] = {}
    candidates = (tip for tip in tips if tip.status == "candidate" and tip.signature.get("tool"))
    for tip in sorted(candidates, key=lambda tip: (-tip.support, tip.id)):
        best.setdefault(tip.signature["tool"], tip)
    return list(best.values())


def served_tip(tip: StoredTip) -> dict[str, Any]:
    """Return what a reader needs of a tip: the fields that are not empty."""
    fields = {
        "id": tip.id,
        "revision": wording_revision(tip),
        "content": tip.content,
        # A mined tip's only step is its own first sentence, which would be shown and paid for twice.
        "steps": [step for step in tip.implementation_steps if step.rstrip(".") not in tip.content],
        "trigger": tip.trigger,
        "task": tip.task_description,
        "category": tip.category,
        "tool": _mapping(tip.metadata.get("signature")).get("tool"),
        "tools": served_tools(tip),
        "support": tip.support,
        "is_a_persons": tip.is_a_persons,
        "effect": current_effect(tip),
        "p": holdout_probability(tip),
    }
    return {name: value for name, value in fields.items() if value}


def _rank(tip: Mapping[str, Any]) -> tuple[object, ...]:
    """Order tips as recall does: proven ones first, then a person's, then by support."""
    low = _mapping(tip.get("effect")).get("low")
    return (
        not (isinstance(low, int | float) and low > 0),
        not tip.get("is_a_persons"),
        -tip.get("support", 0),
        tip["id"],
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    # Nothing checks fields that other programs wrote.
    return value if isinstance(value, dict) else {}
