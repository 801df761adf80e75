"""Store entities in PostgreSQL. Needs psycopg, which importing the package `postgres` does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from kaizen.store.backends.postgres.connections import Connections
from kaizen.store.backends.postgres.reading import Selection, commits, current, history, ns_of
from kaizen.store.backends.postgres.rows import encode_text, fetch, to_entities, to_namespace
from kaizen.store.backends.postgres.schema import is_current, migrate
from kaizen.store.backends.postgres.statistics import Statistics
from kaizen.store.backends.postgres.writing import delete_namespace, write_commits
from kaizen.store.base import BaseStore
from kaizen.store.commits import Head, check_restored, next_commit
from kaizen.store.errors import ConflictError, NotFoundError
from kaizen.store.ids import uuid7
from kaizen.store.model import Commit, Entity, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Literal

    import psycopg

    from kaizen.store.backends.postgres.search import Searcher
    from kaizen.store.commits import CommitRequest
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Namespace, SearchHit

Result = TypeVar("Result")


def _commits_to(namespace_id: str) -> str:
    return f"kaizen commits to {namespace_id}"


class PostgresStore(BaseStore):
    """Implement `kaizen.store.Store`; see there for what each method promises.

    `embedder` is a name that `load_embedder` knows; it is loaded at the first search.
    """

    def __init__(self, dsn: str, *, embedder: str) -> None:
        self._connections = Connections(dsn)
        self._embedder = embedder
        self._statistics = Statistics(self._connections)
        self._searcher: Searcher | None = None
        self._has_tables = False
        self._numbers: dict[str, int] = {}

    @property
    def location(self) -> str:
        return self._connections.location

    @property
    def vector_search(self) -> Literal["hnsw", "exact"]:
        """Return how meanings are compared: by an index of pgvector, or one by one."""
        return self._searching().vector_search()

    def exclusive(self, namespace_id: str) -> AbstractContextManager[None]:
        """Let only this thread commit to the namespace meanwhile; the commits of others wait."""
        return self._connections.exclusive(_commits_to(namespace_id))

    def _create_namespace(self, namespace_id: str, *, exist_ok: bool, created_at: datetime) -> Namespace:
        if not self._is_there():
            self._make_tables()

        def create(connection: psycopg.Connection) -> Namespace | None:
            row = connection.execute(
                "INSERT INTO kaizen.namespaces (id, created_at, last_at, version) VALUES (%s, %s, %s, 0) "
                "ON CONFLICT (id) DO NOTHING RETURNING id, created_at, version",
                (namespace_id, created_at, created_at),
            ).fetchone()
            return None if row is None else to_namespace(row)

        created = self._connections.write(create)
        if created is not None:
            return created
        if exist_ok:
            return self._get_namespace(namespace_id)
        raise ConflictError(f"namespace {namespace_id!r} exists already", namespace_id=namespace_id)

    def _get_namespace(self, namespace_id: str) -> Namespace:
        for namespace in self._namespaces("WHERE id = %(id)s", namespace_id):
            return namespace
        raise self._missing(namespace_id)

    def _list_namespaces(self) -> list[Namespace]:
        return self._namespaces("ORDER BY id")

    def _delete_namespace(self, namespace_id: str) -> None:
        def delete(connection: psycopg.Connection) -> None:
            connection.execute("SET LOCAL statement_timeout = 0")
            ns, _ = self._locked(connection, namespace_id)
            delete_namespace(connection, ns)

        self._require_tables(namespace_id)
        self._connections.write(delete)

    def _commit(self, namespace_id: str, request: CommitRequest) -> Commit:
        def commit(connection: psycopg.Connection) -> Commit:
            ns, head = self._locked(connection, namespace_id)
            known, versions = self._known(connection, ns, namespace_id, request.entity_ids())
            made = next_commit(namespace_id, request, head=head, current=known)
            changed = {change.entity_id for change in made.changes}
            write_commits(connection, ns, [made], {id_: v for id_, v in versions.items() if id_ in changed})
            return made

        self._require_tables(namespace_id)
        made = self._connections.write(commit)
        self._statistics.note(len(made.changes))
        return made

    def _restore(self, namespace_id: str, commits: Sequence[Commit]) -> None:
        asked = [change.entity_id for commit in commits for change in commit.changes]

        def restore(connection: psycopg.Connection) -> None:
            connection.execute("SET LOCAL statement_timeout = 0")
            ns, head = self._locked(connection, namespace_id)
            known, versions = self._known(connection, ns, namespace_id, asked)
            check_restored(namespace_id, commits, version=head.version, current=known)
            write_commits(connection, ns, commits, versions)

        self._require_tables(namespace_id)
        self._connections.write(restore)
        self._statistics.note(len(asked))

    def _get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        rows = self._read(namespace_id, lambda connection, ns: current(connection, ns, entity_ids))
        return {entity.id: entity for entity in to_entities(namespace_id, rows)}

    def _history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        return self._read(
            namespace_id,
            lambda connection, ns: history(connection, ns, namespace_id, entity_id),
            snapshot=True,
        )

    def _commits(self, namespace_id: str, *, run_id: str | None, after: int, limit: int) -> list[Commit]:
        encoded = None if run_id is None else encode_text(run_id)
        return self._read(
            namespace_id,
            lambda connection, ns: commits(
                connection, ns, namespace_id, run_id=encoded, after=after, limit=limit
            ),
            snapshot=True,
        )

    def _page(self, namespace_id: str, selected: Filter, *, after: str | None, limit: int) -> Page:
        rows = self._read(
            namespace_id,
            lambda connection, ns: Selection.of(ns, selected).rows(connection, after=after, limit=limit + 1),
        )
        entities = tuple(to_entities(namespace_id, rows[:limit]))
        return Page(entities=entities, cursor=entities[-1].id if len(rows) > limit else None)

    def _count(self, namespace_id: str, selected: Filter) -> int:
        return self._read(namespace_id, lambda connection, ns: Selection.of(ns, selected).count(connection))

    def _count_by_type(self, namespace_id: str) -> dict[str, int]:
        sql = "SELECT type, count(*) FROM kaizen.entities WHERE ns = %(ns)s GROUP BY type"
        return dict(self._read(namespace_id, lambda connection, ns: fetch(connection, sql, {"ns": ns})))

    def _search(self, namespace_id: str, query: str, selected: Filter, *, limit: int) -> list[SearchHit]:
        ns = self._ns(namespace_id)
        return self._searching().search(namespace_id, Selection.of(ns, selected), query, limit=limit)

    def reindex(self, namespace_id: str, *, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """See `kaizen.store.Reindexable`."""
        return self._searching().reindex(self._ns(namespace_id), progress)

    def check(self) -> None:
        namespace_id = f"check-{uuid7()}"

        def probe(connection: psycopg.Connection) -> None:
            connection.execute(
                "INSERT INTO kaizen.namespaces (id, created_at, last_at, version) "
                "VALUES (%s, now(), now(), 0)",
                (namespace_id,),
            )
            connection.execute("DELETE FROM kaizen.namespaces WHERE id = %s", (namespace_id,))

        if not self._is_there():
            self._make_tables()
        self._connections.write(probe)

    def close(self) -> None:
        self._connections.close()

    def _searching(self) -> Searcher:
        if self._searcher is None:
            from kaizen.store.backends.postgres.search import Searcher

            self._searcher = Searcher(self._connections, self._embedder, self._statistics)
        return self._searcher

    def _read(
        self, namespace_id: str, work: Callable[[psycopg.Connection, int], Result], *, snapshot: bool = False
    ) -> Result:
        """Return what `work` finds in the namespace with this number.

        The number is remembered, and no other namespace ever gets it. So whoever finds something found what
        is there; who finds nothing asks whether the namespace is still the same, or there at all.
        """
        self._require_tables(namespace_id)
        read = self._connections.snapshot if snapshot else self._connections.read
        known = self._numbers.get(namespace_id)
        if known is not None:
            found = read(lambda connection: work(connection, known))
            if found or self._ns(namespace_id) == known:
                return found
        number = self._ns(namespace_id)
        return read(lambda connection: work(connection, number))

    def _namespaces(self, which: str, namespace_id: str | None = None) -> list[Namespace]:
        if not self._is_there():
            return []
        statement = f"SELECT id, created_at, version FROM kaizen.namespaces {which}"  # noqa: S608 - ours
        rows = self._connections.read(lambda connection: fetch(connection, statement, {"id": namespace_id}))
        return [to_namespace(row) for row in rows]

    def _ns(self, namespace_id: str) -> int:
        self._require_tables(namespace_id)
        ns = self._connections.read(lambda connection: ns_of(connection, namespace_id))
        if ns is None:
            raise self._missing(namespace_id)
        self._numbers[namespace_id] = ns
        return ns

    def _locked(self, connection: psycopg.Connection, namespace_id: str) -> tuple[int, Head]:
        """Return the namespace's number and head; nobody else changes it in this transaction."""
        # Before the row is locked: who holds that lock needs the row.
        self._connections.admit(connection, _commits_to(namespace_id))
        rows = fetch(
            connection,
            "SELECT n.ns, n.version, n.last_at, c.id FROM kaizen.namespaces n "
            "LEFT JOIN kaizen.commits c ON c.ns = n.ns AND c.version = n.version "
            "WHERE n.id = %(id)s FOR UPDATE OF n",
            {"id": namespace_id},
        )
        if not rows:
            raise self._missing(namespace_id)
        ns, version, at, commit_id = rows[0]
        return ns, Head(version, at.astimezone(UTC), commit_id)

    def _known(
        self, connection: psycopg.Connection, ns: int, namespace_id: str, entity_ids: Iterable[str]
    ) -> tuple[dict[str, Entity], dict[str, int]]:
        """Return those of the entities that exist, and the version of the state of each."""
        rows = current(connection, ns, list(dict.fromkeys(entity_ids)))
        entities = {entity.id: entity for entity in to_entities(namespace_id, rows)}
        return entities, {entity_id: version for version, entity_id, *_ in rows}

    def _is_there(self) -> bool:
        """Return whether the tables exist in our version; ask again each time until they do."""
        if not self._has_tables:
            self._has_tables = is_current(self._connections)
        return self._has_tables

    def _make_tables(self) -> None:
        migrate(self._connections)
        self._has_tables = True

    def _require_tables(self, namespace_id: str) -> None:
        if not self._is_there():
            raise self._missing(namespace_id)

    def _missing(self, namespace_id: str) -> NotFoundError:
        return NotFoundError(
            f"namespace {namespace_id!r} does not exist in {self.location}", namespace_id=namespace_id
        )
