"""Resolve contradictions: both tips are kept with their evidence, and agents get the better backed one.

The other is retired, which is undone when evidence shifts. Its metadata names the tip it gave way to
(`retired_for`). Both name what they contradict (`contradicts`, `contradicted_by`), and why (`contradictions`,
by the id of the other one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kaizen.tips.evidence import UNSOUND

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kaizen.tips.tip import StoredTip


class Backing(NamedTuple):
    """How well a tip is backed; the greater, the better. What a person says counts before any run."""

    is_a_persons: bool
    not_failed: int
    succeeded: int
    stories: int


def backing(tip: StoredTip) -> Backing:
    """Count distinct stories with sound evidence; those that succeeded count before the failed."""
    sound = {outcome: stories for outcome, stories in tip.support_by.items() if outcome != UNSOUND}
    return Backing(
        is_a_persons=tip.is_a_persons,
        not_failed=sum(sound.values()) - sound.get("failure", 0),
        succeeded=sound.get("success", 0),
        stories=sum(sound.values()),
    )


def record_contradiction(new: StoredTip, known: StoredTip, reason: str) -> tuple[StoredTip, StoredTip]:
    """Return both, each naming the other once."""
    return (
        new.with_metadata(
            contradicts=_with(new.contradicts, known.id),
            contradictions={**new.contradictions, known.id: reason},
        ),
        known.with_metadata(
            contradicted_by=_with(known.contradicted_by, new.id),
            contradictions={**known.contradictions, new.id: reason},
        ),
    )


def resolve_contradictions(
    changed: Mapping[str, StoredTip], known: Mapping[str, StoredTip]
) -> dict[str, StoredTip]:
    """Return the changed tips, and others that their change retires or brings back.

    A tip that nothing backs, which is about to be deleted, contradicts nothing any more. A tip gives way to
    one that is strictly better backed and active; a person's never does, and what a person retired or is
    still to look at retires no other.
    """
    tips = {**known, **changed}
    result = dict(changed)
    active: list[StoredTip] = []
    # The best backed first, so that each tip meets those that may retire it after their own status is known.
    by_id = sorted(_linked_by_contradictions(changed, tips), key=lambda tip: tip.id)
    for tip in sorted(by_id, key=backing, reverse=True):
        now = _without(tip, [i for i in tip.opponents if i not in tips or not tips[i].is_backed])
        opponents = [other for other in active if other.id in now.opponents]
        better = next((other for other in opponents if backing(other) > backing(tip)), None)
        if not tip.is_a_persons:
            now = _retired_for(now, better)
        if now.is_active and now.is_backed:
            active.append(now)
        if now != tip:
            result[tip.id] = now
    return result


def _linked_by_contradictions(
    changed: Mapping[str, StoredTip], tips: Mapping[str, StoredTip]
) -> list[StoredTip]:
    """Return the changed tips that contradict others, and all that those lead to."""
    found = {tip.id: tip for tip in changed.values() if tip.opponents}
    to_follow = list(found.values())
    while to_follow:
        for tip_id in to_follow.pop().opponents:
            if tip_id in tips and tip_id not in found:
                found[tip_id] = tips[tip_id]
                to_follow.append(tips[tip_id])
    return list(found.values())


def _retired_for(tip: StoredTip, better: StoredTip | None) -> StoredTip:
    """Retire the tip for that one, or bring it back if there is none; leave what was taken off otherwise."""
    if better and (tip.is_active or tip.retired_for):
        return tip.with_metadata(status="retired", retired_for=better.id)
    if not better and tip.retired_for:
        return tip.with_metadata(status="active", retired_for=None)
    return tip


def _with(ids: list[str], tip_id: str) -> list[str]:
    return list(dict.fromkeys([*ids, tip_id]))


def _without(tip: StoredTip, gone: Collection[str]) -> StoredTip:
    if not gone:
        return tip
    return tip.with_metadata(
        contradicts=[i for i in tip.contradicts if i not in gone] or None,
        contradicted_by=[i for i in tip.contradicted_by if i not in gone] or None,
        contradictions={i: why for i, why in tip.contradictions.items() if i not in gone} or None,
    )
