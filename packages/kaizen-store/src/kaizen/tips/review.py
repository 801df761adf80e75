"""What a person decides of quarantined tips: that agents may see them, or that they are not learned anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kaizen.store import ConflictError, InvalidInputError
from kaizen.tips.tip import GUIDELINE, StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen.store import Commit, Entity, Store

Decision = Literal["approved", "rejected"]

ACTOR = "kaizen entities review"


def quarantined(store: Store, namespace_id: str) -> Iterator[Entity]:
    """The tips that wait for a person, oldest first."""
    return store.iterate(namespace_id, type=GUIDELINE, where={"status": "quarantined"})


def decide(
    store: Store,
    namespace_id: str,
    decisions: Mapping[str, Decision],
    *,
    revisions: Mapping[str, int] | None = None,
    reason: str = "",
) -> Commit:
    """Take all decisions, by id of the tip, in one commit, which can be reverted like any other.

    `revisions` are those of the tips as the person saw them, as far as they are known. `ConflictError` where
    a tip was changed since, `InvalidInputError` for one that waits for no decision, `NotFoundError` for one
    that there is not; then nothing is decided.
    """
    revisions = revisions or {}
    entities = {tip_id: store.get(namespace_id, tip_id) for tip_id in decisions}
    for tip_id, entity in entities.items():
        if entity.revision != revisions.get(tip_id, entity.revision):
            raise ConflictError(
                f"tip {tip_id} was changed since it was shown (revision {revisions[tip_id]}, now "
                f"{entity.revision}): look at it again with `kaizen entities review {namespace_id}`",
                namespace_id=namespace_id,
                entity_ids=(tip_id,),
            )
        if entity.type != GUIDELINE or entity.metadata.get("status") != "quarantined":
            raise InvalidInputError(
                f"{tip_id} is no tip that waits for a decision; those that do are listed by "
                f"`kaizen entities review {namespace_id}`"
            )
    return store.commit(
        namespace_id,
        [_decided(StoredTip.of(entities[tip_id]), how).to_put() for tip_id, how in decisions.items()],
        expected={tip_id: entity.revision for tip_id, entity in entities.items()},
        actor=ACTOR,
        reason=reason or ", ".join(f"{tip_id} {how}" for tip_id, how in decisions.items()),
    )


def _decided(tip: StoredTip, decision: Decision) -> StoredTip:
    """The tip as it was decided on; `review` keeps syncs from quarantining or learning it once more."""
    decided = {
        "status": "active" if decision == "approved" else "retired",
        "quarantine_reason": "" if decision == "approved" else tip.quarantine_reason,
        "review": {"decision": decision, "quarantine_reason": tip.quarantine_reason},
    }
    return replace(tip, metadata={**tip.metadata, **decided})
