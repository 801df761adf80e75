"""Decide what a commit does to the current entities: pure, and the same for every backend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError, NotFoundError
from kaizen.store.ids import uuid7
from kaizen.store.model import Applied, Change, Commit, Delete, Entity, Expected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """What a caller asks for with `Store.commit`: checked, each change with its id."""

    changes: Sequence[Change]
    expected: Expected | None
    actor: str
    reason: str
    run_id: str | None

    def entity_ids(self) -> list[str]:
        """Return the ids of the entities that `next_commit` has to know: those changed and those expected."""
        expected = () if self.expected is None or isinstance(self.expected, int) else self.expected
        return list(dict.fromkeys([*(str(change.id) for change in self.changes), *expected]))


@dataclass(frozen=True, slots=True)
class Head:
    """Where a namespace stands: the version, time and id of its last commit (0, its creation, None)."""

    version: int
    at: datetime
    commit_id: str | None


def next_commit(
    namespace_id: str, request: CommitRequest, *, head: Head, current: Mapping[str, Entity]
) -> Commit:
    """Return the commit that follows `head`, with a greater id and no earlier time, whatever the clock says.

    `current` holds those of `request.entity_ids()` that exist. Raises `ConflictError` unless the namespace
    is as expected, and `NotFoundError` for a `Delete` of what does not exist.
    """
    # Before the changes: a delete of what somebody deleted meanwhile is a conflict, not a mistake.
    _check_expected(namespace_id, request.expected, version=head.version, current=current)
    # A clock that was set back must not let history run backwards.
    at = max(datetime.now(UTC), head.at)
    return Commit(
        id=uuid7(after=head.commit_id),
        namespace_id=namespace_id,
        version=head.version + 1,
        at=at,
        actor=request.actor,
        reason=request.reason,
        run_id=request.run_id,
        changes=tuple(_apply(namespace_id, change, current, at) for change in request.changes),
    )


def check_restored(
    namespace_id: str, commits: Sequence[Commit], *, version: int, current: Mapping[str, Entity]
) -> None:
    """Raise `ConflictError` unless commits made elsewhere go on from this version and these entities."""
    known: dict[str, Entity | None] = dict(current)
    for commit in commits:
        if commit.version != version + 1:
            raise ConflictError(
                f"namespace {namespace_id!r} is at version {version}: commit {commit.version} cannot follow",
                namespace_id=namespace_id,
            )
        for change in commit.changes:
            if change.before != known.get(change.entity_id):
                raise ConflictError(
                    f"commit {commit.version} starts from another {change.entity_id!r} than namespace "
                    f"{namespace_id!r} holds: restore into a namespace that has just the commits before it",
                    namespace_id=namespace_id,
                    entity_ids=(change.entity_id,),
                )
            known[change.entity_id] = change.after
        version = commit.version


def check_follows(entity_id: str, before: Entity | None, after: Entity | None) -> None:
    """Raise `ValueError` if no commit could have made `after` of `before` (None: not there)."""
    if after is None and before is None:
        raise ValueError(f"entity {entity_id!r} is deleted and was not there")
    if after is not None and after.revision != (before.revision if before else 0) + 1:
        raise ValueError(f"entity {entity_id!r} gets revision {after.revision}, which is not the next")


def touched(commits: Sequence[Commit]) -> list[str]:
    """Return the ids of the entities that the commits change."""
    return list(dict.fromkeys(change.entity_id for commit in commits for change in commit.changes))


def _check_expected(
    namespace_id: str, expected: Expected | None, *, version: int, current: Mapping[str, Entity]
) -> None:
    """Raise `ConflictError` unless the namespace is as expected."""
    if expected is None:
        return
    if isinstance(expected, int):
        if expected != version:
            raise ConflictError(
                f"namespace {namespace_id!r} is at version {version}, not {expected}: read again and retry",
                namespace_id=namespace_id,
            )
        return
    found = {entity_id: _revision(current.get(entity_id)) for entity_id in expected}
    differing = tuple(sorted(entity_id for entity_id in expected if found[entity_id] != expected[entity_id]))
    if differing:
        first = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise ConflictError(
            f"entity {first!r} of namespace {namespace_id!r} is at revision {found[first]}, "
            f"not {expected[first]}{more}: read again and retry",
            namespace_id=namespace_id,
            entity_ids=differing,
        )


def _apply(namespace_id: str, change: Change, current: Mapping[str, Entity], at: datetime) -> Applied:
    assert change.id is not None
    before = current.get(change.id)
    if isinstance(change, Delete):
        if before is None:
            raise NotFoundError(
                f"entity {change.id!r} does not exist in namespace {namespace_id!r}, so it cannot be deleted",
                namespace_id=namespace_id,
                entity_id=change.id,
            )
        return Applied(before=before, after=None)
    after = Entity(
        id=change.id,
        namespace_id=namespace_id,
        type=change.type,
        content=change.content,
        metadata=change.metadata,
        created_at=before.created_at if before else at,
        updated_at=at,
        revision=_revision(before) + 1,
    )
    return Applied(before=before, after=after)


def _revision(entity: Entity | None) -> int:
    return entity.revision if entity else 0
