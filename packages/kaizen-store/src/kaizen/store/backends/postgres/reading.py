"""Read from the tables of the postgres backend: entities that a filter selects, by index; commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from kaizen.store.backends.postgres.rows import STATE_COLUMNS, STATE_OF_ENTITY, Row, bigint, fetch, to_commits
from kaizen.store.filtering import field_of, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from kaizen.store.filtering import Filter
    from kaizen.store.model import Commit

_COMMIT_COLUMNS = "c.version, c.id, c.at, c.actor, c.reason, c.run_id"


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter as SQL: `tables` give `entities e` by an index in order of `order`, if `condition` holds."""

    tables: str
    condition: str
    order: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, ns: int, selected: Filter) -> Self:
        values: dict[str, Any] = {"ns": ns, "type": selected.type}
        tables, conditions, order = "kaizen.entities e", ["e.ns = %(ns)s"], "e.entity_id"
        for number, (path, value) in enumerate(selected.values):
            field = f"f{number}"
            values[f"p{number}"], values[f"v{number}"] = field_of(path, value)
            of_path = f"{field}.path = %(p{number})s"
            of_value = f"{of_path} AND {field}.value = %(v{number})s"
            of_entity = f"{field}.ns = e.ns AND {field}.entity_id = e.entity_id"
            if value is None:
                values[f"p{number}"] = path_of(path)
                conditions.append(
                    f"NOT EXISTS (SELECT FROM kaizen.fields {field} WHERE {of_entity} AND {of_path})"
                )
            elif order == "e.entity_id":
                # The first field gives the order, so that a page is a piece of the index.
                tables = f"kaizen.fields {field} JOIN kaizen.entities e ON {of_entity}"
                conditions += [f"{field}.ns = %(ns)s", of_value]
                order = f"{field}.entity_id"
            else:
                conditions.append(
                    f"EXISTS (SELECT FROM kaizen.fields {field} WHERE {of_entity} AND {of_value})"
                )
        if selected.type is not None:
            conditions.append("e.type = %(type)s")
        return cls(tables=tables, condition=" AND ".join(conditions), order=order, values=values)

    def rows(self, connection: psycopg.Connection, *, after: str | None, limit: int) -> list[Row]:
        """Return states in order of id, at most `limit`."""
        further = "" if after is None else f"AND {self.order} > %(after)s"
        # The page first, then its states: so the planner takes a piece of an index, not a table.
        return fetch(
            connection,
            f"SELECT {STATE_COLUMNS} FROM (SELECT e.* FROM {self.tables} "  # noqa: S608
            f"WHERE {self.condition} {further} ORDER BY {self.order} LIMIT %(limit)s) e {STATE_OF_ENTITY} "
            "ORDER BY e.entity_id",
            {**self.values, "after": after and after.replace("\0", "\x01"), "limit": limit},
        )

    def count(self, connection: psycopg.Connection, *, at_most: int | None = None) -> int:
        ((count,),) = fetch(
            connection,
            f"SELECT count(*) FROM (SELECT FROM {self.tables} "  # noqa: S608
            f"WHERE {self.condition} LIMIT %(limit)s) selected",
            {**self.values, "limit": at_most},
        )
        return int(count)


def ns_of(connection: psycopg.Connection, namespace_id: str) -> int | None:
    rows = fetch(connection, "SELECT ns FROM kaizen.namespaces WHERE id = %(id)s", {"id": namespace_id})
    return int(rows[0][0]) if rows else None


def current(connection: psycopg.Connection, ns: int, entity_ids: Sequence[str]) -> list[Row]:
    """Return the states of those of the entities that exist."""
    return fetch(
        connection,
        f"SELECT {STATE_COLUMNS} FROM kaizen.entities e {STATE_OF_ENTITY} "  # noqa: S608
        f"WHERE e.ns = %(ns)s AND e.entity_id = ANY (%(ids)b::text[])",
        {"ns": ns, "ids": list(entity_ids)},
    )


def history(connection: psycopg.Connection, ns: int, namespace_id: str, entity_id: str) -> list[Commit]:
    changes = fetch(
        connection,
        f"SELECT {_COMMIT_COLUMNS}, s.entity_id, s.previous FROM kaizen.states s "  # noqa: S608
        "JOIN kaizen.commits c ON c.ns = s.ns AND c.version = s.version "
        f"WHERE s.ns = %(ns)s AND s.entity_id = %(entity_id)s ORDER BY s.version",
        {"ns": ns, "entity_id": entity_id},
    )
    return _with_states(connection, ns, namespace_id, changes)


def commits(
    connection: psycopg.Connection, ns: int, namespace_id: str, *, run_id: str | None, after: int, limit: int
) -> list[Commit]:
    """Return commits after a version, oldest first; `run_id` is text as `encode_text` writes it."""
    of_run = (
        ""
        if run_id is None
        else "AND hashtextextended(run_id, 0) = hashtextextended(%(run_id)s, 0) AND run_id = %(run_id)s"
    )
    changes = fetch(
        connection,
        f"SELECT {_COMMIT_COLUMNS}, s.entity_id, s.previous FROM ("  # noqa: S608
        f"  SELECT * FROM kaizen.commits WHERE ns = %(ns)s AND version > %(after)s {of_run} "
        "  ORDER BY version LIMIT %(limit)s) c "
        "JOIN kaizen.states s ON s.ns = c.ns AND s.version = c.version ORDER BY c.version, s.position",
        {"ns": ns, "run_id": run_id, "after": bigint(after), "limit": limit},
    )
    return _with_states(connection, ns, namespace_id, changes)


def _with_states(
    connection: psycopg.Connection, ns: int, namespace_id: str, changes: Sequence[Row]
) -> list[Commit]:
    """Return the commits with the states before and after each change, each of which is read once."""
    keys = {(entity_id, version) for version, *_, entity_id, _ in changes}
    keys |= {(entity_id, previous) for *_, entity_id, previous in changes if previous is not None}
    rows = fetch(
        connection,
        f"SELECT {STATE_COLUMNS} FROM unnest(%(ids)b::text[], %(versions)b::bigint[]) k (entity_id, version) "  # noqa: S608
        f"JOIN kaizen.states s ON s.ns = %(ns)s AND s.entity_id = k.entity_id AND s.version = k.version",
        {"ns": ns, "ids": [entity_id for entity_id, _ in keys], "versions": [version for _, version in keys]},
    )
    return to_commits(namespace_id, changes, {(row[1], row[0]): row for row in rows})
