"""Say what follows from a tip's measured effect: its status, and how often it is held out."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from kaizen.tips.tip import REASON_SEPARATOR, StoredTip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Commit, Entity, Store

HOLDOUT_CANDIDATE = 0.5
HOLDOUT_UNPROVEN = 0.2
HOLDOUT_PROVEN = 0.05


def wording_revision(tip: StoredTip) -> int:
    """Return a number that changes with a tip's words and with its tools' definitions, and with nothing else.

    What is measured with one wording says nothing about another.
    """
    shown = [tip.content, tip.trigger, tip.implementation_steps, dict(served_tools(tip))]
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def served_tools(tip: StoredTip) -> Mapping[str, str]:
    """Return the versions of the tools that it names, of the one whose call it mends, or of the only one.

    A tip that names none was learned with all tools of its run, which may be hundreds.
    """
    if len(tip.tools) == 1:
        return tip.tools
    text = "\n".join(tip.texts)
    return {
        name: version
        for name, version in tip.tools.items()
        if name == tip.signature.get("tool") or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    }


def current_effect(tip: StoredTip) -> Mapping[str, Any]:
    """Return the measured effect of the tip as it is worded now; empty if there is none."""
    effect = tip.metadata.get("effect")
    is_current = isinstance(effect, dict) and effect.get("revision") == wording_revision(tip)
    return effect if is_current and isinstance(effect, dict) else {}


def is_pinned(tip: StoredTip) -> bool:
    """Return whether a person wants the tip shown to every run, whatever its effect."""
    return tip.metadata.get("is_pinned") is True


def holdout_probability(tip: StoredTip) -> float:
    """Return how likely the tip is held out from a run: 0 for a pinned one alone."""
    if is_pinned(tip):
        return 0.0
    if tip.status == "candidate":
        return HOLDOUT_CANDIDATE
    return HOLDOUT_PROVEN if current_effect(tip).get("verdict") == "helps" else HOLDOUT_UNPROVEN


def with_effect(tip: StoredTip, effect: Mapping[str, Any] | None, reason: str = "") -> StoredTip:
    """Return the tip with what is known of its effect now, and the status that follows from its verdict.

    One that harms is quarantined for this `reason`; one that makes no difference is retired until its words
    or tools change. A candidate becomes active if it helps, else it is retired. A pinned tip keeps its own.
    """
    before = tip.metadata.get("effect") or {}
    tip = tip.with_metadata(effect=dict(effect) if effect else None)
    if is_pinned(tip):
        return tip
    verdict = (effect or {}).get("verdict")
    if verdict == "harms" and tip.is_active:
        reasons = REASON_SEPARATOR.join([*tip.quarantine_reasons, reason])
        return tip.with_metadata(status="quarantined", quarantine_reason=reasons)
    if verdict in ("harms", "no difference") and tip.status in ("active", "candidate"):
        return tip.with_metadata(status="retired")
    if verdict == "helps" and tip.status == "candidate":
        return tip.with_metadata(status="active")
    is_retried = not effect and before.get("verdict") == "no difference" and not tip.metadata.get("review")
    return tip.with_metadata(status="active") if is_retried and tip.status == "retired" else tip


def pin_tips(
    store: Store, entities: Sequence[Entity], *, pinned: bool, reason: str = "", actor: str = ""
) -> Commit:
    """Pin the tips, or pin them no more, in one commit. A pinned one is never held out and never retired.

    Raises `ConflictError` if one was changed since it was read.
    """
    changed = [StoredTip.of(entity).with_metadata(is_pinned=pinned or None) for entity in entities]
    return store.commit(
        entities[0].namespace_id,
        [change for tip in changed for change in tip.to_changes()],
        expected={entity.id: entity.revision for entity in entities},
        actor=actor or ("kaizen tips pin" if pinned else "kaizen tips unpin"),
        reason=reason or ("pinned by hand" if pinned else "pinned no more"),
    )
