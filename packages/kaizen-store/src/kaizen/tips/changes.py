"""Store a tip together with its evidence, or delete both."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from kaizen.store import Delete
from kaizen.tips.evidence import EVIDENCE, UNSOUND
from kaizen.tips.reading import read_evidence
from kaizen.tips.tip import NEWEST

if TYPE_CHECKING:
    from kaizen.store import Change, Store
    from kaizen.tips.tip import StoredTip


def tip_changes(
    store: Store, namespace_id: str, tip: StoredTip, before: StoredTip | None = None
) -> list[Change]:
    """Return the changes that make the stored tip that was `before` this one; if nothing backs it, it goes.

    Reads the store only where sources are to be replaced: where sound evidence drives out what is not, and
    where the newest ones are gone.
    """
    if not (tip.is_backed or tip.merged_into):
        gone = (i for i, each in tip.unstored.items() if each is None)
        return [Delete(id=tip.id), *(Delete(id=i) for i in gone)]
    if before and UNSOUND in before.support_by and UNSOUND not in tip.support_by:
        tip = _without_unsound(store, namespace_id, tip)
    if len(tip.sources) < min(tip.support, NEWEST):
        tip = _with_newest(store, namespace_id, tip)
    return tip.to_changes()


def _without_unsound(store: Store, namespace_id: str, tip: StoredTip) -> StoredTip:
    unsound = {
        entity.id: None
        for tip_id in tip.evidence_tip_ids
        for flaw in ({"verified": False}, {"suspect": True})
        for entity in store.iterate(namespace_id, type=EVIDENCE, where={"tip_id": tip_id, **flaw})
    }
    return replace(tip, unstored={**unsound, **tip.unstored})


def _with_newest(store: Store, namespace_id: str, tip: StoredTip) -> StoredTip:
    """Return the tip showing `NEWEST` sources again; which of the older ones does not matter."""
    shown = [source.story for source in tip.evidence]
    others = (each.source for each in read_evidence(store, namespace_id, tip))
    older = islice((each for each in others if each.story not in shown), NEWEST - len(shown))
    return tip.with_metadata(sources=[*(each.to_json() for each in older), *tip.sources])
