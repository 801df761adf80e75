"""The sqlite backend: one file for all namespaces, for any number of processes of one machine."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen.store.backends.sqlite.connections import Connections
from kaizen.store.backends.sqlite.reading import Selection, current, sql_int
from kaizen.store.backends.sqlite.rows import (
    check_rows,
    read_commits,
    to_entity,
    to_microseconds,
    to_namespace,
    to_time,
)
from kaizen.store.backends.sqlite.writing import delete_namespace, write_commit
from kaizen.store.base import BaseStore
from kaizen.store.commits import Head, check_restored, next_commit, touched
from kaizen.store.errors import ConflictError, NotFoundError
from kaizen.store.model import Commit, Page

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from kaizen.store.backends.sqlite.search import Searcher
    from kaizen.store.commits import CommitRequest
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Entity, Namespace, SearchHit
    from kaizen.store.settings import StoreSettings

FILE_NAME = "kaizen.db"

_COMMIT_COLUMNS = "version, id, at, actor, reason, run_id"


class SqliteBackend:
    """Open sqlite stores; the entry point `sqlite` names this class."""

    @staticmethod
    def open(settings: StoreSettings) -> SqliteStore:
        """Open the store in `settings.data_dir`; the file is made at the first write."""
        return SqliteStore(settings.data_dir / FILE_NAME, embedder=settings.embedder)


class SqliteStore(BaseStore):
    """Implement `kaizen.store.Store`; see there for what each method promises.

    `embedder` is a name that `load_embedder` knows; it is loaded at the first search.
    """

    def __init__(self, path: Path, *, embedder: str, durable: bool = True) -> None:
        self._connections = Connections(path, durable=durable)
        self._embedder = embedder
        self._searcher: Searcher | None = None

    @property
    def location(self) -> str:
        return str(self._connections.path)

    def _create_namespace(self, namespace_id: str, *, exist_ok: bool, created_at: datetime) -> Namespace:
        if exist_ok and self._connections.exists():
            try:
                return self._get_namespace(namespace_id)
            except NotFoundError:
                pass
        with self._connections.writing(create=True) as connection:
            time = to_microseconds(created_at)
            made = connection.execute(
                "INSERT INTO namespaces (id, created_at, last_at, version) VALUES (?, ?, ?, 0) "
                "ON CONFLICT (id) DO NOTHING",
                (namespace_id, time, time),
            )
            if not made.rowcount and not exist_ok:
                raise ConflictError(f"namespace {namespace_id!r} exists already", namespace_id=namespace_id)
            return self._described(connection, namespace_id)

    def _get_namespace(self, namespace_id: str) -> Namespace:
        self._require_file(namespace_id)
        with self._connections.reading() as connection:
            return self._described(connection, namespace_id)

    def _list_namespaces(self) -> list[Namespace]:
        if not self._connections.exists():
            return []
        with self._connections.reading() as connection:
            rows = connection.execute("SELECT id, created_at, version FROM namespaces ORDER BY id")
            return [to_namespace(row) for row in rows]

    def _delete_namespace(self, namespace_id: str) -> None:
        with self._writing(namespace_id) as (connection, ns, _):
            delete_namespace(connection, ns)

    def _commit(self, namespace_id: str, request: CommitRequest) -> Commit:
        with self._writing(namespace_id) as (connection, ns, head):
            known = self._current(connection, ns, namespace_id, request.entity_ids())
            commit = next_commit(namespace_id, request, head=head, current=known)
            write_commit(connection, ns, commit)
        return commit

    def _restore(self, namespace_id: str, commits: Sequence[Commit]) -> None:
        with self._writing(namespace_id) as (connection, ns, head):
            known = self._current(connection, ns, namespace_id, touched(commits))
            check_restored(namespace_id, commits, version=head.version, current=known)
            for commit in commits:
                write_commit(connection, ns, commit)

    def _get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        with self._reading(namespace_id) as (connection, ns):
            return self._current(connection, ns, namespace_id, entity_ids)

    def _history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        with self._reading(namespace_id) as (connection, ns):
            rows = connection.execute(
                f"SELECT {_COMMIT_COLUMNS} FROM commits WHERE ns = ? AND version IN "  # noqa: S608
                "(SELECT version FROM states WHERE ns = ? AND entity_id = ?) ORDER BY version",
                (ns, ns, entity_id),
            ).fetchall()
            return read_commits(
                connection, namespace_id, rows, "a.ns = ? AND a.entity_id = ?", (ns, entity_id)
            )

    def _commits(self, namespace_id: str, *, run_id: str | None, after: int, limit: int) -> list[Commit]:
        with self._reading(namespace_id) as (connection, ns):
            of_run = "" if run_id is None else "AND run_id = ? "
            rows = connection.execute(
                f"SELECT {_COMMIT_COLUMNS} FROM commits WHERE ns = ? AND version > ? {of_run}"  # noqa: S608
                "ORDER BY version LIMIT ?",
                (ns, sql_int(after), *([] if run_id is None else [run_id]), limit),
            ).fetchall()
            versions = json.dumps([row[0] for row in rows])
            selected = "a.ns = ? AND a.version IN (SELECT value FROM json_each(?))"
            return read_commits(connection, namespace_id, rows, selected, (ns, versions))

    def _page(self, namespace_id: str, selected: Filter, *, after: str | None, limit: int) -> Page:
        with self._reading(namespace_id) as (connection, ns):
            selection = Selection.of(connection, ns, selected)
            rows = selection.rows(connection, after=after, limit=limit + 1)
            entities = tuple(to_entity(namespace_id, row) for row in rows[:limit])
        return Page(entities=entities, cursor=entities[-1].id if len(rows) > limit else None)

    def _count(self, namespace_id: str, selected: Filter) -> int:
        if selected.values:
            with self._reading(namespace_id) as (connection, ns):
                return Selection.of(connection, ns, selected).count(connection)
        # Without values to look for, the sizes that are kept anyway tell: no entity is counted.
        counts = self._count_by_type(namespace_id)
        return sum(counts.values()) if selected.type is None else counts.get(selected.type, 0)

    def search_selected(
        self, namespace_id: str, query: str, selected: Filter, *, limit: int
    ) -> list[SearchHit]:
        """`search` for arguments that are checked already."""
        return self._search(namespace_id, query, selected, limit=limit)

    def _count_by_type(self, namespace_id: str) -> dict[str, int]:
        with self._reading(namespace_id) as (connection, ns):
            return dict(connection.execute("SELECT type, size FROM kinds WHERE ns = ?", (ns,)).fetchall())

    def _search(self, namespace_id: str, query: str, selected: Filter, *, limit: int) -> list[SearchHit]:
        self._require_file(namespace_id)
        return self._searching().search(namespace_id, query, selected, limit=limit)

    def reindex(self, namespace_id: str, *, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """See `kaizen.store.Reindexable`."""
        self._require_file(namespace_id)
        return self._searching().reindex(namespace_id, progress)

    def check(self) -> None:
        if not self._connections.exists():
            # What would be made at the first write can be made.
            with self._connections.writing(create=True):
                return
        with self._connections.reading() as connection:
            ((found, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok":
                raise self._connections.corrupt(" ".join(found.split()))
            check_rows(connection)
        with self._connections.writing() as connection:
            # No namespace has this number, and still SQLite must be able to write.
            connection.execute("UPDATE namespaces SET version = version WHERE ns = 0")

    def close(self) -> None:
        self._connections.close()

    def _searching(self) -> Searcher:
        if self._searcher is None:
            from kaizen.store.backends.sqlite.search import Searcher

            self._searcher = Searcher(self._connections, self._embedder, self._ns)
        return self._searcher

    def _current(
        self, connection: sqlite3.Connection, ns: int, namespace_id: str, entity_ids: Iterable[str]
    ) -> dict[str, Entity]:
        rows = current(connection, ns, list(dict.fromkeys(entity_ids)))
        return {row[0]: to_entity(namespace_id, row) for row in rows}

    def _position(self, connection: sqlite3.Connection, namespace_id: str) -> tuple[int, Head]:
        row = connection.execute(
            "SELECT n.ns, n.version, n.last_at, c.id FROM namespaces n "
            "LEFT JOIN commits c ON c.ns = n.ns AND c.version = n.version WHERE n.id = ?",
            (namespace_id,),
        ).fetchone()
        if row is None:
            raise self._missing(namespace_id)
        ns, version, at, commit_id = row
        return ns, Head(version, to_time(at), commit_id)

    def _ns(self, connection: sqlite3.Connection, namespace_id: str) -> int:
        return self._position(connection, namespace_id)[0]

    @contextmanager
    def _reading(self, namespace_id: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        self._require_file(namespace_id)
        with self._connections.reading() as connection:
            yield connection, self._ns(connection, namespace_id)

    @contextmanager
    def _writing(self, namespace_id: str) -> Iterator[tuple[sqlite3.Connection, int, Head]]:
        self._require_file(namespace_id)
        with self._connections.writing() as connection:
            yield connection, *self._position(connection, namespace_id)

    def _described(self, connection: sqlite3.Connection, namespace_id: str) -> Namespace:
        row = connection.execute(
            "SELECT id, created_at, version FROM namespaces WHERE id = ?", (namespace_id,)
        ).fetchone()
        if row is None:
            raise self._missing(namespace_id)
        return to_namespace(row)

    def _require_file(self, namespace_id: str) -> None:
        if not self._connections.exists():
            raise self._missing(namespace_id)

    def _missing(self, namespace_id: str) -> NotFoundError:
        return NotFoundError(
            f"namespace {namespace_id!r} does not exist in {self.location}", namespace_id=namespace_id
        )
