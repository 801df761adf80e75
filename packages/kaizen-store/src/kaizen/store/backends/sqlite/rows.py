"""Turn rows of the sqlite backend into values, and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.store.model import Applied, Commit, Entity, Namespace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

Row = tuple[Any, ...]

STATE_COLUMNS = "entity_id, type, content, metadata, created_at, updated_at, revision"
OF_STATE = ", ".join(f"s.{name}" for name in STATE_COLUMNS.split(", "))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except (OverflowError, TypeError) as exc:
        raise ValueError(f"{microseconds!r} is not a time ({exc})") from exc


def encode_metadata(entity: Entity) -> str:
    return json.dumps(entity.metadata, ensure_ascii=False, separators=(",", ":"))


def to_namespace(row: Row) -> Namespace:
    namespace_id, created_at, version = row
    return Namespace(id=namespace_id, created_at=to_time(created_at), version=version)


def to_entity(namespace_id: str, row: Sequence[Any]) -> Entity:
    """Return the entity of a row of `STATE_COLUMNS` that is not a deletion."""
    entity_id, type_, content, metadata, created_at, updated_at, revision = row
    try:
        return Entity(
            id=entity_id,
            namespace_id=namespace_id,
            type=type_,
            content=content,
            metadata=json.loads(metadata),
            created_at=to_time(created_at),
            updated_at=to_time(updated_at),
            revision=revision,
        )
    except (ValueError, TypeError, OverflowError) as exc:
        raise ValueError(f"entity {entity_id!r} cannot be read ({exc})") from exc


def check_rows(connection: sqlite3.Connection) -> None:
    """Read every row as whoever asks for it does; raise `ValueError` for the first that cannot be read."""
    for row in connection.execute("SELECT id, created_at, version FROM namespaces"):
        to_namespace(row)
    for (at,) in connection.execute("SELECT at FROM commits"):
        to_time(at)
    of_namespace = "FROM states s LEFT JOIN namespaces n ON n.ns = s.ns WHERE s.type IS NOT NULL"
    for namespace_id, *row in connection.execute(f"SELECT n.id, {OF_STATE} {of_namespace}"):
        to_entity(namespace_id, row)
    missing = "FROM {} x WHERE NOT EXISTS (SELECT 1 FROM states s WHERE {}) LIMIT 1"
    of_entity = "s.state_id = x.state_id AND s.type IS NOT NULL"
    for (entity_id,) in connection.execute(f"SELECT id {missing.format('entities', of_entity)}"):
        raise ValueError(f"the state of entity {entity_id!r} is missing")
    of_commit = "s.ns = x.ns AND s.version = x.version"
    for (version,) in connection.execute(f"SELECT version {missing.format('commits', of_commit)}"):
        _of_commit({}, version)


def read_commits(
    connection: sqlite3.Connection, namespace_id: str, commits: Iterable[Row], states_of: str, key: Row
) -> list[Commit]:
    """Commits from their rows, with those changes that the condition `states_of` on states `a` selects."""
    columns = ", ".join(f"{side}.{name}" for side in "ab" for name in STATE_COLUMNS.split(", "))
    changes: dict[int, list[Applied]] = {}
    for version, *both in connection.execute(
        f"SELECT a.version, {columns} FROM states a LEFT JOIN states b ON b.state_id = a.before_id "  # noqa: S608
        f"WHERE {states_of} ORDER BY a.version, a.state_id",
        key,
    ):
        after, before = both[:7], both[7:]
        changes.setdefault(version, []).append(
            Applied(
                before=None if before[1] is None else to_entity(namespace_id, before),
                after=None if after[1] is None else to_entity(namespace_id, after),
            )
        )
    return [
        Commit(
            id=commit_id,
            namespace_id=namespace_id,
            version=version,
            at=to_time(at),
            actor=actor,
            reason=reason,
            run_id=run_id,
            changes=_of_commit(changes, version),
        )
        for version, commit_id, at, actor, reason, run_id in commits
    ]


def _of_commit(changes: dict[int, list[Applied]], version: int) -> tuple[Applied, ...]:
    if version not in changes:
        raise ValueError(f"the changes of commit {version} are missing")
    return tuple(changes[version])
