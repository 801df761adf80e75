"""Write commits into the tables of the sqlite backend; the caller holds the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store.backends.sqlite.rows import encode_metadata, to_microseconds
from kaizen.store.filtering import flatten
from kaizen.store.text import FTS_TOKENIZER, fold_text, searched_text

if TYPE_CHECKING:
    import sqlite3

    from kaizen.store.model import Applied, Commit, Entity


def write_commit(connection: sqlite3.Connection, ns: int, commit: Commit) -> None:
    """Write the next commit of a namespace: its row, the states it made, and what finds them."""
    at = to_microseconds(commit.at)
    connection.execute(
        "INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?)",
        (ns, commit.version, commit.id, at, commit.actor, commit.reason, commit.run_id),
    )
    writer = _Writer(connection, ns, commit.version)
    for change in commit.changes:
        writer.write(change)
    writer.finish()
    connection.execute(
        "UPDATE namespaces SET version = ?, last_at = max(last_at, ?) WHERE ns = ?",
        (commit.version, at, ns),
    )


def delete_namespace(connection: sqlite3.Connection, ns: int) -> None:
    for (kind,) in connection.execute("SELECT kind FROM kinds WHERE ns = ?", (ns,)).fetchall():
        connection.execute(f"DROP TABLE text_{int(kind)}")
        connection.execute("DELETE FROM vectors WHERE kind = ?", (kind,))
        connection.execute("DELETE FROM embedded WHERE kind = ?", (kind,))
    for table in ("kinds", "fields", "entities", "states", "commits", "namespaces"):
        connection.execute(f"DELETE FROM {table} WHERE ns = ?", (ns,))  # noqa: S608 - names of ours


class _Writer:
    """The changes of one commit, one after the other."""

    def __init__(self, connection: sqlite3.Connection, ns: int, version: int) -> None:
        self._connection = connection
        self._ns = ns
        self._version = version
        self._kinds: dict[str, int] = {}
        self._grown: dict[int, int] = {}

    def write(self, change: Applied) -> None:
        before_id = self._forget(change.before) if change.before is not None else None
        state_id = self._add_state(change, before_id)
        if change.after is not None:
            self._find(change.after, state_id)

    def finish(self) -> None:
        self._connection.executemany(
            "UPDATE kinds SET size = size + ? WHERE kind = ?",
            [(count, kind) for kind, count in self._grown.items() if count],
        )

    def _forget(self, entity: Entity) -> int:
        """Take the current state out of all that finds it; it stays as history."""
        kind, state_id = self._connection.execute(
            "DELETE FROM entities WHERE ns = ? AND id = ? RETURNING kind, state_id", (self._ns, entity.id)
        ).fetchone()
        self._grown[kind] = self._grown.get(kind, 0) - 1
        self._connection.execute(f"DELETE FROM text_{int(kind)} WHERE rowid = ?", (state_id,))  # noqa: S608
        self._connection.execute("DELETE FROM vectors WHERE kind = ? AND state_id = ?", (kind, state_id))
        # By the whole key: an index of fields by entity would have to be written with each of them.
        self._connection.executemany(
            "DELETE FROM fields WHERE ns = ? AND path = ? AND value = ? AND entity_id = ?",
            [(self._ns, path, value, entity.id) for path, value in flatten(entity.metadata)],
        )
        return int(state_id)

    def _add_state(self, change: Applied, before_id: int | None) -> int:
        entity = change.after
        values: tuple[object, ...] = (None, None, 0, None, None, None)
        if entity is not None:
            times = (to_microseconds(entity.created_at), to_microseconds(entity.updated_at))
            values = (*times, entity.revision, entity.type, encode_metadata(entity), entity.content)
        cursor = self._connection.execute(
            "INSERT INTO states (ns, version, entity_id, before_id, created_at, updated_at, revision, type, "
            "metadata, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._ns, self._version, change.entity_id, before_id, *values),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _find(self, entity: Entity, state_id: int) -> None:
        """Put the new state into all that finds it."""
        kind = self._kind(entity.type)
        self._grown[kind] = self._grown.get(kind, 0) + 1
        self._connection.execute(
            "INSERT INTO entities VALUES (?, ?, ?, ?)", (self._ns, entity.id, kind, state_id)
        )
        self._connection.execute(
            f"INSERT INTO text_{kind} (rowid, body) VALUES (?, ?)",  # noqa: S608 - an integer of ours
            (state_id, fold_text(searched_text(entity))),
        )
        self._connection.executemany(
            "INSERT INTO fields VALUES (?, ?, ?, ?)",
            [(self._ns, path, value, entity.id) for path, value in flatten(entity.metadata)],
        )

    def _kind(self, type_: str) -> int:
        if type_ not in self._kinds:
            self._kinds[type_] = kind_of(self._connection, self._ns, type_) or self._add_kind(type_)
        return self._kinds[type_]

    def _add_kind(self, type_: str) -> int:
        cursor = self._connection.execute("INSERT INTO kinds (ns, type) VALUES (?, ?)", (self._ns, type_))
        kind = cursor.lastrowid
        assert kind is not None
        self._connection.execute(
            f"CREATE VIRTUAL TABLE text_{kind} USING fts5 (body, tokenize = '{FTS_TOKENIZER}')"
        )
        return kind


def kind_of(connection: sqlite3.Connection, ns: int, type_: str) -> int | None:
    row = connection.execute("SELECT kind FROM kinds WHERE ns = ? AND type = ?", (ns, type_)).fetchone()
    return None if row is None else int(row[0])
