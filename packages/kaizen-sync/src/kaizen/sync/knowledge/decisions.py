"""What a model decided of a new tip and known ones, so that nobody asks it again about the same texts."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from kaizen.sync.knowledge.neighbours import Known
    from kaizen.tips.tip import Tip

Kind = Literal["new", "duplicate", "merge", "contradicts"]

_MOST = 10_000


class Decided(NamedTuple):
    """What a new tip is to a known one: `new` if nothing. `wording` is that of a merge."""

    kind: Kind
    wording: str = ""
    reason: str = ""


class Decisions:
    """Decisions by what was shown: the texts of the new tip and the known one. The oldest are forgotten."""

    def __init__(self) -> None:
        self._decided: OrderedDict[str, Decided] = OrderedDict()

    def get(self, new: Tip, known: Known) -> Decided | None:
        return self._decided.get(_key(new, known))

    def keep(self, new: Tip, known: Known, decided: Decided) -> None:
        self._decided[_key(new, known)] = decided
        while len(self._decided) > _MOST:
            self._decided.popitem(last=False)

    def forget(self, new: Tip, known: Known) -> None:
        self._decided.pop(_key(new, known), None)


def _key(new: Tip, known: Known) -> str:
    shown = (new.content, new.trigger, known.content, known.trigger)
    return hashlib.blake2b(repr(shown).encode(), digest_size=16).hexdigest()
