"""Write commits into the tables of the postgres backend; the caller holds the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.store.backends.postgres.rows import encode_metadata, encode_text
from kaizen.store.backends.postgres.schema import OF_NAMESPACE
from kaizen.store.filtering import flatten
from kaizen.store.text import fold_text, searched_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from kaizen.store.model import Commit, Entity


def write_commits(
    connection: psycopg.Connection, ns: int, commits: Sequence[Commit], versions: Mapping[str, int]
) -> None:
    """Write the next commits of a namespace, whose row the caller has locked.

    `versions` tells the version of the current state of each entity that they change and that exists. All
    statements travel together, and each writes all of its rows.
    """
    last: dict[str, Entity | None] = {
        change.entity_id: change.after for commit in commits for change in commit.changes
    }
    put = {entity_id: entity for entity_id, entity in last.items() if entity is not None}
    with connection.pipeline():
        _add_commits(connection, ns, commits)
        _add_states(connection, ns, commits, versions)
        if versions:
            _forget(
                connection, ns, list(versions), [entity_id for entity_id in versions if entity_id not in put]
            )
        _find(
            connection, ns, put, {c.entity_id: commit.version for commit in commits for c in commit.changes}
        )
        connection.execute(
            "UPDATE kaizen.namespaces SET version = %s, last_at = greatest(last_at, %s) WHERE ns = %s",
            (commits[-1].version, max(commit.at for commit in commits), ns),
        )


def delete_namespace(connection: psycopg.Connection, ns: int) -> None:
    for table in OF_NAMESPACE:
        connection.execute(f"DELETE FROM kaizen.{table} WHERE ns = %s", (ns,))  # noqa: S608 - ours


def _add_commits(connection: psycopg.Connection, ns: int, commits: Iterable[Commit]) -> None:
    rows = [
        (
            commit.version,
            commit.id,
            commit.at,
            encode_text(commit.actor),
            encode_text(commit.reason),
            None if commit.run_id is None else encode_text(commit.run_id),
        )
        for commit in commits
    ]
    connection.execute(
        "INSERT INTO kaizen.commits SELECT %s, * FROM unnest(%b::bigint[], %b::text[], %b::timestamptz[], "
        "%b::text[], %b::text[], %b::text[])",
        (ns, *_columns(rows)),
    )


def _add_states(
    connection: psycopg.Connection, ns: int, commits: Iterable[Commit], versions: Mapping[str, int]
) -> None:
    previous = dict(versions)
    rows: list[tuple[Any, ...]] = []
    for commit in commits:
        for position, change in enumerate(commit.changes):
            key = (change.entity_id, commit.version, position, previous.pop(change.entity_id, None))
            rows.append((*key, *_state(change.after, commit)))
            if change.after is not None:
                previous[change.entity_id] = commit.version
    connection.execute(
        "INSERT INTO kaizen.states SELECT %s, entity_id, version, position, previous, type, content, "
        "metadata::json, created_at, updated_at, revision FROM unnest(%b::text[], %b::bigint[], "
        "%b::integer[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], "
        "%b::timestamptz[], %b::integer[]) u (entity_id, version, position, previous, type, content, "
        "metadata, created_at, updated_at, revision)",
        (ns, *_columns(rows)),
    )


def _state(entity: Entity | None, commit: Commit) -> tuple[Any, ...]:
    if entity is None:
        return (None, None, None, None, commit.at, None)
    return (
        entity.type,
        encode_text(entity.content),
        encode_metadata(entity),
        entity.created_at,
        entity.updated_at,
        entity.revision,
    )


def _forget(connection: psycopg.Connection, ns: int, changed: list[str], deleted: list[str]) -> None:
    """Take the current states out of all that finds them; they stay as history."""
    for table, entity_ids in (("fields", changed), ("vectors", changed), ("entities", deleted)):
        connection.execute(
            f"DELETE FROM kaizen.{table} WHERE ns = %s AND entity_id = ANY (%b::text[])",  # noqa: S608 - ours
            (ns, entity_ids),
        )


def _find(
    connection: psycopg.Connection, ns: int, put: Mapping[str, Entity], versions: Mapping[str, int]
) -> None:
    """Put the new states into all that finds them."""
    if not put:
        return
    rows = [
        (entity_id, versions[entity_id], entity.type, fold_text(searched_text(entity)))
        for entity_id, entity in put.items()
    ]
    connection.execute(
        "INSERT INTO kaizen.entities SELECT %s, entity_id, version, type, "
        "to_tsvector('kaizen.words', words) FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::text[]) "
        "u (entity_id, version, type, words) ON CONFLICT (ns, entity_id) DO UPDATE "
        "SET version = excluded.version, type = excluded.type, words = excluded.words",
        (ns, *_columns(rows)),
    )
    fields = [
        (path, value, entity_id)
        for entity_id, entity in put.items()
        for path, value in flatten(entity.metadata)
    ]
    if fields:
        connection.execute(
            "INSERT INTO kaizen.fields SELECT %s, * FROM unnest(%b::text[], %b::text[], %b::text[])",
            (ns, *_columns(fields)),
        )


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
