"""Change tips by hand: other words, or out of use. What a person did, no sync undoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.tips.tip import StoredTip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Commit, Entity, Store


def edit_tip(
    store: Store, entity: Entity, *, content: str | None, fields: Mapping[str, Any], reason: str = ""
) -> Commit:
    """Put the tip with this content, unless it is None, and these fields of its metadata.

    It counts as a person's then, so that syncs keep its words. Raises `ConflictError` if it was changed since
    `entity` was read.
    """
    tip = StoredTip.of(entity)
    review = tip.metadata.get("review") or _review(tip, "edited")
    edited = tip.with_metadata(**fields, review=review).with_content(
        tip.content if content is None else content
    )
    return store.commit(
        entity.namespace_id,
        [edited.to_put()],
        expected={entity.id: entity.revision},
        actor="kaizen tips edit",
        reason=reason or "edited by hand",
    )


def retire_tips(store: Store, entities: Sequence[Entity], *, reason: str = "") -> Commit:
    """Take the tips out of use, in one commit; no sync learns them anew.

    Raises `ConflictError` if one was changed since it was read.
    """
    return store.commit(
        entities[0].namespace_id,
        [_retired(StoredTip.of(entity)).to_put() for entity in entities],
        expected={entity.id: entity.revision for entity in entities},
        actor="kaizen tips retire",
        reason=reason or "retired by hand",
    )


def _retired(tip: StoredTip) -> StoredTip:
    return tip.with_metadata(status="retired", review=_review(tip, "rejected"))


def _review(tip: StoredTip, decision: str) -> dict[str, str]:
    return {"decision": decision, "quarantine_reason": tip.quarantine_reason}
