"""Change tips by the functions that the command uses, with the caller as the actor of the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.store import InvalidInputError, find_entity, plan_revert
from kaizen.tips import (
    GUIDELINE,
    check_revision,
    decide,
    edit_tip,
    manual_tip,
    pin_tips,
    retire_tips,
    revert_tips,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import Commit, Entity, Store
    from kaizen.tips import ReviewDecision


def review_tips(
    store: Store,
    namespace_id: str,
    decisions: Mapping[str, ReviewDecision],
    *,
    actor: str,
    revisions: Mapping[str, int] | None = None,
    reason: str = "",
) -> Commit:
    """Approve and reject tips that wait, by id, in one commit; raises as `kaizen.tips.decide` does."""
    return decide(store, namespace_id, decisions, revisions=revisions, reason=reason, actor=actor)


def retire(
    store: Store, namespace_id: str, tip_ids: Sequence[str], *, actor: str, reason: str = ""
) -> Commit:
    """Take tips out of use, in one commit."""
    return retire_tips(store, _tips(store, namespace_id, tip_ids), reason=reason, actor=actor)


def pin(
    store: Store, namespace_id: str, tip_ids: Sequence[str], *, pinned: bool, actor: str, reason: str = ""
) -> Commit:
    """Pin tips, or pin them no more, in one commit."""
    return pin_tips(store, _tips(store, namespace_id, tip_ids), pinned=pinned, reason=reason, actor=actor)


def add(
    store: Store, namespace_id: str, content: str, fields: Mapping[str, Any], *, actor: str, reason: str = ""
) -> Entity:
    """Add a tip that a person wrote."""
    put = manual_tip(content, **fields)
    commit = store.commit(namespace_id, [put], actor=actor, reason=reason or "added by hand")
    entity = commit.changes[0].after
    assert entity is not None
    return entity


def edit(
    store: Store,
    namespace_id: str,
    tip_id: str,
    *,
    content: str | None,
    fields: Mapping[str, Any],
    actor: str,
    revision: int | None = None,
    reason: str = "",
) -> Commit:
    """Change what a tip says. Raises `ConflictError` if it is not at that revision any more."""
    entity = find_entity(store, namespace_id, tip_id, type=GUIDELINE)
    check_revision(entity, revision)
    return edit_tip(store, entity, content=content, fields=fields, reason=reason, actor=actor)


def undo(
    store: Store,
    namespace_id: str,
    commit_ids: Sequence[str],
    *,
    actor: str,
    reason: str = "",
    force: bool = False,
    after_version: int = 0,
) -> Commit:
    """Undo commits by one more; raises `ConflictError` if others changed the same since, unless `force`.

    `after_version` is one that they all come after, where it is known: no history before it is read.
    """
    plan = plan_revert(store, namespace_id, commit_ids=commit_ids, force=force, after_version=after_version)
    return revert_tips(store, namespace_id, plan, actor=actor, reason=reason)


def _tips(store: Store, namespace_id: str, tip_ids: Sequence[str]) -> list[Entity]:
    if not tip_ids:
        raise InvalidInputError("no tip is named: give the id of at least one")
    return [find_entity(store, namespace_id, tip_id, type=GUIDELINE) for tip_id in dict.fromkeys(tip_ids)]
