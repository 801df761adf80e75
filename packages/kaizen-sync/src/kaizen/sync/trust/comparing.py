"""Which known tips a new one is compared with, so that no attack hides behind, or displaces, a good tip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trust.reasons import is_dangerous

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.tips.tip import StoredTip

_PREFERRED = {True: ("quarantined", "active", "retired"), False: ("active", "retired", "quarantined")}


def same_tip(tips: Iterable[StoredTip], quarantine_reason: str) -> StoredTip | None:
    """Of known tips with one text the one that a new tip with it repeats; None: it is a tip of its own.

    A harmless tip repeats no attack, which may be in other texts than this one and must not hold it back. A
    dangerous one, as `quarantine_reason` says, repeats its own quarantine first, so that learning it again
    changes nothing.
    """
    danger = is_dangerous(quarantine_reason)
    order = _PREFERRED[danger]
    comparable = [tip for tip in tips if danger or tip.status != "quarantined" or is_shown(tip)]
    return min(comparable, key=lambda tip: (order.index(tip.status), tip.id), default=None)


def is_shown(tip: StoredTip) -> bool:
    """Whether a model that compares tips may be shown this one."""
    return not is_dangerous(tip.quarantine_reason)
