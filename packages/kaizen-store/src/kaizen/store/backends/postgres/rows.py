"""Turn rows of the postgres backend into values, and back."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from kaizen.store.model import Applied, Commit, Entity, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

Row = tuple[Any, ...]

STATE_COLUMNS = (
    "s.version, s.entity_id, s.type, s.content, s.metadata::text, s.created_at, s.updated_at, s.revision"
)

STATE_OF_ENTITY = (
    "JOIN kaizen.states s ON s.ns = e.ns AND s.entity_id = e.entity_id AND s.version = e.version"
)

# Text of PostgreSQL holds everything but NUL. What has one is escaped, and marked by a character that nobody
# starts a text with; the rest is kept as it is, for people who look at the tables.
_MARK = "\x01"


def encode_text(text: str) -> str:
    if "\0" not in text and not text.startswith(_MARK):
        return text
    return _MARK + text.replace("\\", r"\\").replace("\0", r"\0")


def decode_text(text: str) -> str:
    if not text.startswith(_MARK):
        return text
    return "\\".join(part.replace(r"\0", "\0") for part in text[1:].split(r"\\"))


def encode_metadata(entity: Entity) -> str:
    return json.dumps(entity.metadata, ensure_ascii=False, separators=(",", ":"))


def bigint(value: int) -> int:
    """Return the value, at most the greatest integer of PostgreSQL less one."""
    return min(value, 2**63 - 2)


def fetch(connection: psycopg.Connection, statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a statement, made of texts and numbers of ours; what callers pass is in `values`."""
    return connection.execute(statement, values).fetchall()


def to_namespace(row: Row) -> Namespace:
    namespace_id, created_at, version = row
    return Namespace(id=namespace_id, created_at=created_at.astimezone(UTC), version=version)


def to_entity(namespace_id: str, row: Row) -> Entity | None:
    """Return the entity of a row of `STATE_COLUMNS`; None for a deletion."""
    _, entity_id, type_, content, metadata, created_at, updated_at, revision = row
    if type_ is None:
        return None
    return Entity(
        id=entity_id,
        namespace_id=namespace_id,
        type=type_,
        content=decode_text(content),
        metadata=json.loads(metadata),
        created_at=created_at.astimezone(UTC),
        updated_at=updated_at.astimezone(UTC),
        revision=revision,
    )


def to_entities(namespace_id: str, rows: Iterable[Row]) -> list[Entity]:
    """Return the entities of rows of current states, none of which is a deletion."""
    return [entity for row in rows if (entity := to_entity(namespace_id, row)) is not None]


def to_commits(
    namespace_id: str, changes: Sequence[Row], states: Mapping[tuple[str, int], Row]
) -> list[Commit]:
    """Return commits, given a row for each change with the commit's columns and the keys of two states."""
    by_version: dict[int, tuple[Row, list[Applied]]] = {}
    for *commit, entity_id, previous in changes:
        version = commit[0]
        applied = Applied(
            before=None if previous is None else to_entity(namespace_id, states[entity_id, previous]),
            after=to_entity(namespace_id, states[entity_id, version]),
        )
        by_version.setdefault(version, (tuple(commit), []))[1].append(applied)
    return [
        Commit(
            id=commit_id,
            namespace_id=namespace_id,
            version=version,
            at=at.astimezone(UTC),
            actor=decode_text(actor),
            reason=decode_text(reason),
            run_id=None if run_id is None else decode_text(run_id),
            changes=tuple(applied),
        )
        for (version, commit_id, at, actor, reason, run_id), applied in by_version.values()
    ]
