"""Read entities from the sqlite backend that a filter selects, by index."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from kaizen.store.backends.sqlite.rows import OF_STATE, STATE_COLUMNS
from kaizen.store.backends.sqlite.writing import kind_of
from kaizen.store.filtering import field_of, value_at

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.store.backends.sqlite.rows import Row
    from kaizen.store.filtering import Filter

# Beyond this, it does not matter how many entities have a field.
_MANY = 2_000
_METADATA = STATE_COLUMNS.split(", ").index("metadata")


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter as SQL. `kind` is None for all types, `fields` are what metadata must hold.

    `absent` are the paths that must lead nowhere: no index tells those, so the metadata is looked at.
    """

    ns: int
    kind: int | None
    fields: tuple[tuple[str, str], ...]
    absent: tuple[tuple[str, ...], ...]
    is_empty: bool

    @classmethod
    def of(cls, connection: sqlite3.Connection, ns: int, selected: Filter) -> Self:
        kind = None if selected.type is None else kind_of(connection, ns, selected.type)
        fields = [field_of(path, value) for path, value in selected.values if value is not None]
        return cls(
            ns=ns,
            kind=kind,
            fields=_rarest_first(connection, ns, fields),
            absent=tuple(path for path, value in selected.values if value is None),
            is_empty=kind is None and selected.type is not None,
        )

    def rows(self, connection: sqlite3.Connection, *, after: str | None, limit: int) -> list[Row]:
        """Return states in order of id, at most `limit`."""
        if self.is_empty:
            return []
        tables, condition, values, order = self._source()
        if after is not None:
            condition += f" AND {order} > ?"
            values.append(after)
        cursor = connection.execute(
            f"SELECT {OF_STATE} FROM {tables} CROSS JOIN states s ON s.state_id = e.state_id "  # noqa: S608
            f"WHERE {condition} ORDER BY {order} LIMIT ?",
            # -1 is no limit to SQLite: rows that are looked at may turn out not to be wanted.
            (*values, -1 if self.absent else limit),
        )
        return list(islice((row for row in cursor if self._is_absent(row[_METADATA])), limit))

    def count(self, connection: sqlite3.Connection) -> int:
        if self.is_empty:
            return 0
        if self.absent:
            return len(self.rows(connection, after=None, limit=sys.maxsize))
        tables, condition, values, _ = self._source()
        sql = f"SELECT count(*) FROM {tables} WHERE {condition}"  # noqa: S608
        return int(connection.execute(sql, values).fetchone()[0])

    def few(self, connection: sqlite3.Connection, *, limit: int) -> list[int] | None:
        """Return the states with the fields asked for; None if these are many, or if no field is."""
        if not self.fields or self.is_empty:
            return [] if self.is_empty else None
        tables, condition, values, _ = self._source()
        sql = f"SELECT e.state_id FROM {tables} WHERE {condition} LIMIT ?"  # noqa: S608
        found = [state_id for (state_id,) in connection.execute(sql, (*values, limit + 1))]
        return found if len(found) <= limit else None

    def among(self, connection: sqlite3.Connection, state_ids: Iterable[int]) -> set[int]:
        """Return those of the states that are current and selected."""
        condition, values = self._conditions(self.fields)
        rows = connection.execute(
            "SELECT s.state_id, s.metadata FROM json_each(?) j CROSS JOIN states s ON s.state_id = j.value "  # noqa: S608
            "CROSS JOIN entities e ON e.ns = s.ns AND e.id = s.entity_id AND e.state_id = s.state_id "
            f"WHERE e.ns = ? {condition}",
            (json.dumps(list(state_ids)), self.ns, *values),
        )
        return {state_id for state_id, metadata in rows if self._is_absent(metadata)}

    def _source(self) -> tuple[str, str, list[Any], str]:
        """Return tables that give `entities e` by an index, a condition, its values, and the order: by id."""
        if self.fields:
            condition, values = self._conditions(self.fields[1:])
            # CROSS JOIN keeps the order of the tables: fields are found first, and in order of id.
            return (
                "fields f CROSS JOIN entities e ON e.ns = f.ns AND e.id = f.entity_id",
                f"f.ns = ? AND f.path = ? AND f.value = ? {condition}",
                [self.ns, *self.fields[0], *values],
                "f.entity_id",
            )
        if self.kind is not None:
            return "entities e", "e.kind = ?", [self.kind], "e.id"
        return "entities e", "e.ns = ?", [self.ns], "e.id"

    def _conditions(self, fields: Sequence[tuple[str, str]]) -> tuple[str, list[Any]]:
        has = (
            " AND EXISTS (SELECT 1 FROM fields g "
            "WHERE g.ns = e.ns AND g.path = ? AND g.value = ? AND g.entity_id = e.id)"
        )
        of_kind = "" if self.kind is None else " AND e.kind = ?"
        kind = [] if self.kind is None else [self.kind]
        return of_kind + has * len(fields), [*kind, *(part for pair in fields for part in pair)]

    def _is_absent(self, metadata: str) -> bool:
        if not self.absent:
            return True
        value = json.loads(metadata)
        return all(value_at(value, path) is None for path in self.absent)


def _rarest_first(
    connection: sqlite3.Connection, ns: int, fields: list[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Order the fields by how many entities have them, as far as counting takes no time."""
    if len(fields) < 2:
        return tuple(fields)
    count = "SELECT count(*) FROM (SELECT 1 FROM fields WHERE ns = ? AND path = ? AND value = ? LIMIT ?)"
    counts = {field: connection.execute(count, (ns, *field, _MANY)).fetchone()[0] for field in set(fields)}
    return tuple(sorted(fields, key=counts.__getitem__))


def current(connection: sqlite3.Connection, ns: int, entity_ids: Sequence[str]) -> Iterator[Row]:
    """Return the states of those of the entities that exist."""
    return connection.execute(
        f"SELECT {OF_STATE} FROM json_each(?) j CROSS JOIN entities e ON e.ns = ? AND e.id = j.value "  # noqa: S608
        "CROSS JOIN states s ON s.state_id = e.state_id",
        (json.dumps(entity_ids), ns),
    )


def sql_int(value: int) -> int:
    """Return the value, at most the greatest integer of SQLite."""
    return min(value, 2**63 - 1)
