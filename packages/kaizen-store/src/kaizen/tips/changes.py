"""Store a tip together with its evidence, or delete both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.store import Delete, apply_revert
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.evidence import EVIDENCE, UNSOUND
from kaizen.tips.reading import read_evidence, read_source, read_tip, read_tips
from kaizen.tips.tip import NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Change, Commit, Entity, RevertPlan, Store
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


def deletion_of(store: Store, namespace_id: str, entity: Entity) -> list[Change]:
    """Return the changes that delete an entity; a tip goes with its evidence."""
    tip = read_tip(entity) if entity.type == GUIDELINE else None
    evidence = (
        found.id
        for tip_id in (tip.evidence_tip_ids if tip else ())
        for found in store.iterate(namespace_id, type=EVIDENCE, where={"tip_id": tip_id})
    )
    return [Delete(id=entity.id), *(Delete(id=i) for i in evidence)]


def recount_tips(store: Store, namespace_id: str, tip_ids: Iterable[str], *, actor: str) -> Commit | None:
    """Let tips count the evidence that the store has, after a change to one without the other.

    None if all do. Raises `ConflictError` if others change one of them meanwhile.
    """
    entities = store.get_many(namespace_id, list(tip_ids)).values()
    changed: dict[str, StoredTip] = {}
    for tip in read_tips(entity for entity in entities if entity.type == GUIDELINE):
        counted = tip.with_evidence(list(read_evidence(store, namespace_id, tip)))
        is_same = (counted.support_by, counted.sources) == (tip.support_by, tip.sources)
        # One of before is counted when it is migrated.
        if not (is_same or tip.unstored):
            changed[tip.id] = counted
    if not changed:
        return None
    return store.commit(
        namespace_id,
        [change for tip in changed.values() for change in tip.to_changes()],
        expected={entity.id: entity.revision for entity in entities if entity.id in changed},
        actor=actor,
        reason="counted the evidence that is stored",
    )


def revert_tips(store: Store, namespace_id: str, plan: RevertPlan, *, actor: str, reason: str = "") -> Commit:
    """Commit a revert that was planned, and let the tips count the evidence that is stored then."""
    commit = apply_revert(store, namespace_id, plan, actor=actor, reason=reason)
    if plan.given_up:
        # What others found for a tip since is still stored.
        recount_tips(store, namespace_id, plan.given_up, actor=actor)
    return commit


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
    # As many as may turn out to be shown already, or to go.
    limit = NEWEST + len(tip.sources) + len(tip.unstored)
    pages = (
        store.list(namespace_id, type=EVIDENCE, where={"tip_id": tip_id}, limit=limit)
        for tip_id in tip.evidence_tip_ids
    )
    found = (read_source(entity) for page in pages for entity in page.entities)
    return tip.with_older(each.source for each in found if each and each.id not in tip.unstored)
