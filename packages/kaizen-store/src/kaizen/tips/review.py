"""Let a person decide on quarantined tips, edit tips or retire them. What a person did, no sync undoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kaizen.store import ConflictError, InvalidInputError
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.reading import read_tip
from kaizen.tips.tip import StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaizen.store import Commit, Entity, Store

ReviewDecision = Literal["approved", "rejected"]

ACTOR = "kaizen entities review"


def quarantined(store: Store, namespace_id: str) -> Iterator[Entity]:
    """Yield the tips that wait for a person, oldest first; name those that are not valid in a warning."""
    found = store.iterate(namespace_id, type=GUIDELINE, where={"status": "quarantined"})
    return (entity for entity in found if read_tip(entity) is not None)


def decide(
    store: Store,
    namespace_id: str,
    decisions: Mapping[str, ReviewDecision],
    *,
    revisions: Mapping[str, int] | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Commit:
    """Take all decisions, by id of the tip, in one commit, which can be reverted like any other.

    `revisions` are those of the tips as the person saw them, as far as they are known. Raises `ConflictError`
    if a tip was changed since, `InvalidInputError` for one that does not wait for a decision or is not valid,
    `NotFoundError` for one that does not exist; then nothing is decided.
    """
    revisions = revisions or {}
    entities = {tip_id: store.get(namespace_id, tip_id) for tip_id in decisions}
    for tip_id, entity in entities.items():
        check_revision(entity, revisions.get(tip_id))
        if entity.type != GUIDELINE or entity.metadata.get("status") != "quarantined":
            raise InvalidInputError(
                f"{tip_id} is not a tip that waits for a decision; those that do are listed by "
                f"`kaizen entities review {namespace_id}`"
            )
    return store.commit(
        namespace_id,
        [
            change
            for tip_id, how in decisions.items()
            for change in _decided(StoredTip.of(entities[tip_id]), how).to_changes()
        ],
        expected={tip_id: entity.revision for tip_id, entity in entities.items()},
        actor=actor,
        reason=reason or ", ".join(f"{tip_id} {how}" for tip_id, how in decisions.items()),
    )


def check_revision(entity: Entity, revision: int | None) -> None:
    """Raise `ConflictError` if a tip is not at the revision that a person saw, as far as that is known."""
    if revision is not None and entity.revision != revision:
        raise ConflictError(
            f"tip {entity.id} was changed since it was shown (revision {revision}, now {entity.revision}): "
            "look at it again",
            namespace_id=entity.namespace_id,
            entity_ids=(entity.id,),
        )


def edit_tip(
    store: Store,
    entity: Entity,
    *,
    content: str | None,
    fields: Mapping[str, Any],
    reason: str = "",
    actor: str = "kaizen tips edit",
) -> Commit:
    """Put the tip with this content, unless it is None, and these fields of its metadata.

    It counts as a person's then, so that syncs keep its words. Raises `InvalidInputError` if nothing is to
    change, `ConflictError` if it was changed since `entity` was read.
    """
    if content is None and not fields:
        raise InvalidInputError("say what to change: the content or a field")
    tip = StoredTip.of(entity)
    # An earlier decision stays: a tip that was rejected is not approved by a change of its words.
    review = tip.metadata.get("review") or _review(tip, "edited")
    edited = tip.with_metadata(**fields, review=review).with_content(
        tip.content if content is None else content
    )
    return store.commit(
        entity.namespace_id,
        edited.to_changes(),
        expected={entity.id: entity.revision},
        actor=actor,
        reason=reason or "edited by hand",
    )


def retire_tips(
    store: Store, entities: Sequence[Entity], *, reason: str = "", actor: str = "kaizen tips retire"
) -> Commit:
    """Take the tips out of use, in one commit; no sync learns them anew.

    Raises `ConflictError` if one was changed since it was read.
    """
    tips = [StoredTip.of(entity) for entity in entities]
    retired = [tip.with_metadata(status="retired", review=_review(tip, "rejected")) for tip in tips]
    return store.commit(
        entities[0].namespace_id,
        [change for tip in retired for change in tip.to_changes()],
        expected={entity.id: entity.revision for entity in entities},
        actor=actor,
        reason=reason or "retired by hand",
    )


def _decided(tip: StoredTip, decision: ReviewDecision) -> StoredTip:
    """Return the tip as decided; `review` keeps syncs from quarantining or learning it once more."""
    is_approved = decision == "approved"
    return tip.with_metadata(
        status="active" if is_approved else "retired",
        quarantine_reason="" if is_approved else tip.quarantine_reason,
        review=_review(tip, decision),
    )


def _review(tip: StoredTip, decision: str) -> dict[str, str]:
    return {"decision": decision, "quarantine_reason": tip.quarantine_reason}
