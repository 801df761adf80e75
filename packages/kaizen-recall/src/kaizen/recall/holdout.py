"""Decide which tips a run is not shown, so that their effect can be measured. Pure; the same everywhere.

A unit is a session, or else a run. Whether a tip is held out from it depends on a hash of the experiment's
salt, the tip and the unit, and on nothing else. Test vectors are in docs/reference/recall.md.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kaizen.recall.model import ServedTip

Arm = Literal["shown", "held_out"]


def fraction(salt: str, tip_id: str, unit: str) -> float:
    """Return a number in [0, 1): the first 8 bytes of the SHA-256 of the three, a line each, over 2^64."""
    # No id holds a line break, and the unit comes last: no two triples have the same text.
    text = f"{salt}\n{tip_id}\n{unit}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    # The upper 53 bits, which a float holds exactly: all 64 could be rounded up to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(tip: ServedTip, unit: str, salt: str, p: float) -> Arm:
    """Return whether the unit is shown the tip, or it is held out with the probability p."""
    return "held_out" if fraction(salt, tip.id, unit) < p else "shown"


def is_control(unit: str, salt: str, share: float) -> bool:
    """Return whether the unit is among the share of units that are shown no tip at all."""
    # The empty id is that of no tip.
    return fraction(salt, "", unit) < share
