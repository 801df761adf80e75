"""Undoing commits: one more commit that puts back what was there before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError, InvalidInputError, NotFoundError
from kaizen.store.model import Change, Delete, Put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.store.contract import Store
    from kaizen.store.model import Commit, Entity

_PAGE = 500


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

    Every entity they touched gets the state it had before the first of them. Where a commit that is not
    undone touched an entity after that, `ConflictError` names the entity, unless `force` gives that up too.

    Raises `NotFoundError` for a commit or run that there is not, `InvalidInputError` where nothing is left
    to undo.
    """
    if bool(commit_ids) == (run_id is not None):
        raise InvalidInputError("say which commits to revert: either commit ids or one run id")
    undone = list(_of_run(store, namespace_id, run_id) if run_id else _named(store, namespace_id, commit_ids))
    versions = {commit.version for commit in undone}
    before: dict[str, Entity | None] = {}
    for commit in undone:
        for applied in commit.changes:
            before.setdefault(applied.entity_id, applied.before)
    current = store.get_many(namespace_id, list(before))
    touched = [entity_id for entity_id in before if _is_touched(store, namespace_id, entity_id, versions)]
    if touched and not force:
        raise ConflictError(
            f"other commits changed {_listed(touched)} afterwards: revert those too, or use force to give up "
            "what they did",
            namespace_id=namespace_id,
            entity_ids=tuple(touched),
        )
    changes = [
        change
        for entity_id, entity in before.items()
        if (change := _change(entity_id, entity, current.get(entity_id))) is not None
    ]
    if not changes:
        raise InvalidInputError("there is nothing to revert: all is as it was before these commits")
    return store.commit(
        namespace_id,
        changes,
        expected={
            entity_id: current[entity_id].revision if entity_id in current else 0 for entity_id in before
        },
        actor=actor,
        reason=reason or f"revert of {f'run {run_id}' if run_id else _listed(list(commit_ids))}",
    )


def _of_run(store: Store, namespace_id: str, run_id: str) -> Iterator[Commit]:
    after = 0
    while commits := store.commits(namespace_id, run_id=run_id, after=after, limit=_PAGE):
        yield from commits
        after = commits[-1].version
    if after == 0:
        raise NotFoundError(
            f"namespace {namespace_id!r} has no commit of run {run_id!r}", namespace_id=namespace_id
        )


def _named(store: Store, namespace_id: str, commit_ids: Iterable[str]) -> Iterator[Commit]:
    """The commits with these ids, oldest first."""
    missing = set(commit_ids)
    after = 0
    while missing and (commits := store.commits(namespace_id, after=after, limit=_PAGE)):
        for commit in commits:
            if commit.id in missing:
                missing.remove(commit.id)
                yield commit
        after = commits[-1].version
    if missing:
        raise NotFoundError(
            f"namespace {namespace_id!r} has no commit {_listed(sorted(missing))}", namespace_id=namespace_id
        )


def _is_touched(store: Store, namespace_id: str, entity_id: str, versions: set[int]) -> bool:
    """Whether a commit that is not undone touched the entity after the first that is."""
    touching = [commit.version for commit in store.history(namespace_id, entity_id)]
    first = next(version for version in touching if version in versions)
    return any(version > first and version not in versions for version in touching)


def _change(entity_id: str, wanted: Entity | None, current: Entity | None) -> Change | None:
    if wanted is None:
        return None if current is None else Delete(id=entity_id)
    put = Put(id=entity_id, type=wanted.type, content=wanted.content, metadata=wanted.metadata)
    same = current is not None and (
        (current.type, current.content, current.metadata) == (put.type, put.content, put.metadata)
    )
    return None if same else put


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(each) for each in ids[:5])
    return f"{shown} and {len(ids) - 5} more" if len(ids) > 5 else shown
