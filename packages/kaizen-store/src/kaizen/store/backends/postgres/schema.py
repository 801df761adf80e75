"""Make the tables of the postgres backend: one list of migrations, each applied once and recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kaizen.store.backends.postgres.rows import STATE_COLUMNS, STATE_OF_ENTITY, to_entity
from kaizen.store.errors import StoreError, check_schema
from kaizen.store.text import fold_text, searched_text

if TYPE_CHECKING:
    import psycopg

    from kaizen.store.backends.postgres.connections import Connections

# Whoever makes or changes tables holds this lock: "kaizen" as a number.
LOCK = int.from_bytes(b"kaizen", "big")

_FIRST = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")

_ROWS_AT_ONCE = 1_000


def _fold_texts(connection: psycopg.Connection) -> None:
    """Write the words of all current states again: those of before kept their accents."""
    after: tuple[int, str] = (0, "")
    while rows := connection.execute(
        f"SELECT e.ns, {STATE_COLUMNS} FROM kaizen.entities e {STATE_OF_ENTITY} "  # noqa: S608
        "WHERE (e.ns, e.entity_id) > (%s, %s) ORDER BY e.ns, e.entity_id LIMIT %s",
        (*after, _ROWS_AT_ONCE),
    ).fetchall():
        after = rows[-1][0], rows[-1][2]
        entities = [to_entity("", tuple(row)) for _, *row in rows]
        connection.execute(
            "UPDATE kaizen.entities e SET words = to_tsvector('kaizen.words', u.words) "
            "FROM unnest(%b::bigint[], %b::text[], %b::text[]) u (ns, entity_id, words) "
            "WHERE e.ns = u.ns AND e.entity_id = u.entity_id",
            (
                [row[0] for row in rows],
                [row[2] for row in rows],
                [fold_text(searched_text(entity)) for entity in entities if entity is not None],
            ),
        )


Migration: TypeAlias = str | Callable[["psycopg.Connection"], None]
"""Statements with `;` at the ends of lines, or a function that executes them."""

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _fold_texts)

OF_NAMESPACE = ("vectors", "embedded", "fields", "entities", "states", "commits", "namespaces")


def version_of(connection: psycopg.Connection) -> int:
    """Return how many migrations the database has had; 0 for a new one."""
    if not _has(connection, "SELECT FROM pg_tables WHERE schemaname = 'kaizen' AND tablename = 'migrations'"):
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM kaizen.migrations").fetchone()
    assert row is not None
    return int(row[0])


def is_current(connections: Connections) -> bool:
    """Return whether the tables exist; migrate older ones, and raise `StoreError` for newer ones."""
    version = connections.read(version_of)
    check_schema(connections.location, version, known=len(MIGRATIONS))
    if 0 < version < len(MIGRATIONS):
        migrate(connections)
    return version > 0


def migrate(connections: Connections) -> None:
    """Bring the database to the newest schema, a transaction for each step; many hosts may do so at once."""

    def step(connection: psycopg.Connection) -> bool:
        lock(connection)
        version = version_of(connection)
        check_schema(connections.location, version, known=len(MIGRATIONS))
        if version == len(MIGRATIONS):
            return False
        if version == 0:
            _begin(connections, connection)
        migration = MIGRATIONS[version]
        if isinstance(migration, str):
            for statement in migration.split(";\n"):
                connection.execute(statement)
        else:
            migration(connection)
        connection.execute("INSERT INTO kaizen.migrations VALUES (%s, now())", (version + 1,))
        return True

    while connections.write(step):
        pass


def lock(connection: psycopg.Connection) -> None:
    """Let nobody else change tables until the end of the transaction, and take the time that it takes."""
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def _begin(connections: Connections, connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"{connections.location}: its encoding is {encoding}, which cannot hold every text: "
            "create a database with ENCODING 'UTF8'"
        )
    # CREATE SCHEMA IF NOT EXISTS asks for a right that who was given the schema does not need
    if not _has(connection, "SELECT FROM pg_namespace WHERE nspname = 'kaizen'"):
        connection.execute("CREATE SCHEMA kaizen")
    connection.execute(
        "CREATE TABLE kaizen.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)"
    )


def _has(connection: psycopg.Connection, rows: str) -> bool:
    """Return whether the catalog has such rows now; to_regclass may answer from an older cache."""
    return bool(connection.execute(f"SELECT EXISTS ({rows})").fetchone() == (True,))
