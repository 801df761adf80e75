"""Undo commits, by one more commit that puts back what was there before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError, InvalidInputError, NotFoundError
from kaizen.store.model import Applied, Delete, Put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kaizen.store.contract import Store
    from kaizen.store.model import Change, Commit, Entity

# Few enough that a page of long trajectories fits into memory.
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPlan:
    """What undoing some commits would do: each entity as it is now, and as it was before them.

    `given_up` names the entities that other commits changed afterwards. `expected` are the revisions that
    all this was decided on.
    """

    changes: tuple[Applied, ...]
    given_up: tuple[str, ...]
    expected: Mapping[str, int]
    reason: str


def revert(
    store: Store,
    namespace_id: str,
    *,
    commit_ids: Sequence[str] = (),
    run_id: str | None = None,
    actor: str = "",
    reason: str = "",
    force: bool = False,
) -> Commit:
    """Undo the commits named, or all of a run, as one new commit, which can be reverted like any other.

    Every entity they touched gets the state it had before the first of them. If a commit that is not undone
    changed an entity after that, and it is not again as they left it, `ConflictError` names it; `force` gives
    up that change too.

    Raises `NotFoundError` for a commit or run that there is not, `InvalidInputError` where nothing is left
    to undo.
    """
    plan = plan_revert(store, namespace_id, commit_ids=commit_ids, run_id=run_id, force=force)
    return apply_revert(store, namespace_id, plan, actor=actor, reason=reason)


def plan_revert(
    store: Store,
    namespace_id: str,
    *,
    commit_ids: Sequence[str] = (),
    run_id: str | None = None,
    force: bool = False,
    after_version: int = 0,
) -> RevertPlan:
    """Return what `revert` would do with the same arguments; raise what it would raise; change nothing.

    `after_version` is one that all the commits come after, so that no history before it is read.
    """
    if bool(commit_ids) == (run_id is not None):
        raise InvalidInputError("say which commits to revert: either commit ids or one run id")
    before: dict[str, Entity | None] = {}
    after: dict[str, Entity | None] = {}
    changed_between: set[str] = set()
    for commit in _commits_to_undo(store, namespace_id, commit_ids, run_id, after_version):
        for applied in commit.changes:
            entity_id = applied.entity_id
            before.setdefault(entity_id, applied.before)
            if not is_same_state(after.get(entity_id, applied.before), applied.before):
                changed_between.add(entity_id)
            after[entity_id] = applied.after
    # Not the history of each entity, of which a run may have touched thousands.
    current = store.get_many(namespace_id, list(before))
    touched = [
        entity_id
        for entity_id, left in after.items()
        if entity_id in changed_between or not is_same_state(left, current.get(entity_id))
    ]
    if touched and not force:
        raise ConflictError(
            f"other commits changed {_listed(touched)} afterwards: revert those too, or use force to give up "
            "what they did",
            namespace_id=namespace_id,
            entity_ids=tuple(touched),
        )
    changes = tuple(
        Applied(before=current.get(entity_id), after=entity)
        for entity_id, entity in before.items()
        if not is_same_state(entity, current.get(entity_id))
    )
    if not changes:
        raise InvalidInputError("there is nothing to revert: all is as it was before these commits")
    return RevertPlan(
        changes=changes,
        given_up=tuple(touched),
        expected={
            entity_id: current[entity_id].revision if entity_id in current else 0 for entity_id in before
        },
        reason=f"revert of {_listed(list(commit_ids)) if run_id is None else f'run {run_id}'}",
    )


def apply_revert(
    store: Store, namespace_id: str, plan: RevertPlan, *, actor: str = "", reason: str = ""
) -> Commit:
    """Commit what was planned; raise `ConflictError` if the entities were changed since."""
    return store.commit(
        namespace_id,
        [as_change(applied) for applied in plan.changes],
        expected=plan.expected,
        actor=actor,
        reason=reason or plan.reason,
    )


def read_commits(
    store: Store, namespace_id: str, *, after: int = 0, run_id: str | None = None
) -> Iterator[Commit]:
    """Read all commits after a version, oldest first, page by page."""
    while commits := store.commits(namespace_id, run_id=run_id, after=after, limit=_PAGE):
        yield from commits
        after = commits[-1].version


def _commits_to_undo(
    store: Store, namespace_id: str, commit_ids: Iterable[str], run_id: str | None, after_version: int
) -> Iterator[Commit]:
    """Find the commits of the run, or those with these ids, oldest first."""
    missing = set(commit_ids)
    found = False
    for commit in read_commits(store, namespace_id, run_id=run_id, after=after_version):
        if run_id is not None or commit.id in missing:
            found = True
            missing.discard(commit.id)
            yield commit
            if run_id is None and not missing:
                # No history is read further than the last commit that was named.
                return
    if missing or not found:
        which = f"of run {run_id!r}" if run_id is not None else _listed(sorted(missing))
        raise NotFoundError(f"namespace {namespace_id!r} has no commit {which}", namespace_id=namespace_id)


def is_same_state(wanted: Entity | None, current: Entity | None) -> bool:
    """Return whether two states hold the same, whatever their revisions: undoing a change makes another."""
    if wanted is None or current is None:
        return wanted is current
    return (wanted.type, wanted.content, wanted.metadata) == (current.type, current.content, current.metadata)


def as_change(applied: Applied) -> Change:
    """Return the change that leads to the entity's state after what was applied."""
    after = applied.after
    if after is None:
        return Delete(id=applied.entity_id)
    return Put(id=after.id, type=after.type, content=after.content, metadata=after.metadata)


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(each) for each in ids[:5])
    return f"{shown} and {len(ids) - 5} more" if len(ids) > 5 else shown
