"""Choose the known tips to compare a new one with, so that no attack hides behind or replaces a good tip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trust.reasons import is_dangerous

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.tips.tip import StoredTip

_PREFERRED = {
    True: ("quarantined", "active", "candidate", "retired"),
    False: ("active", "candidate", "retired", "quarantined"),
}


def same_tip(tips: Iterable[StoredTip], quarantine_reason: str) -> StoredTip | None:
    """Choose among known tips of one text the tip that a new one repeats; None if it repeats none.

    A harmless tip never repeats an attack, which must not hold it back. A dangerous one (`quarantine_reason`)
    repeats a quarantined tip first, so that learning it again changes nothing.
    """
    danger = is_dangerous(quarantine_reason)
    order = _PREFERRED[danger]
    comparable = [tip for tip in tips if danger or tip.status != "quarantined" or is_shown(tip)]
    return min(comparable, key=lambda tip: (order.index(tip.status), tip.id), default=None)


def is_shown(tip: StoredTip) -> bool:
    """Return whether a model that compares tips may see this one."""
    return not is_dangerous(tip.quarantine_reason)
