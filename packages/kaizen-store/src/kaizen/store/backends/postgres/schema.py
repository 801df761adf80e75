"""Make the tables of the postgres backend: one list of migrations, each applied once and recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from kaizen.store.backends.postgres.rows import STATE_COLUMNS, STATE_OF_ENTITY, to_entity
from kaizen.store.errors import StoreError, check_schema
from kaizen.store.text import fold_text, searched_text

if TYPE_CHECKING:
    import psycopg

    from kaizen.store.backends.postgres.connections import Connections

# Whoever makes or changes tables holds this lock: "kaizen" as a number.
LOCK = int.from_bytes(b"kaizen", "big")

# A state is an entity as one commit left it, and never changes; its key is the entity and the version of the
# commit. `entities` names the current state of each entity; what came before is found through `previous`, so
# that no content is stored twice. `fields` holds what a filter may ask of the current metadata. Everything of
# a namespace is written under the lock of its row, so no foreign keys are needed to keep it together.
# Ids are compared by code point (COLLATE "C"), as every backend does.
_FIRST = """
CREATE TEXT SEARCH DICTIONARY kaizen.stem (TEMPLATE = snowball, LANGUAGE = english);
CREATE TEXT SEARCH CONFIGURATION kaizen.words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION kaizen.words
  ALTER MAPPING FOR asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part,
    hword_numpart WITH kaizen.stem;
CREATE TABLE kaizen.namespaces (
  ns bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE TABLE kaizen.commits (
  ns bigint NOT NULL,
  version bigint NOT NULL,
  id text NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL,
  run_id text,
  PRIMARY KEY (ns, version)
);
CREATE INDEX commits_by_run ON kaizen.commits (ns, hashtextextended(run_id, 0), version)
  WHERE run_id IS NOT NULL;
CREATE TABLE kaizen.states (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  position integer NOT NULL,
  previous bigint,
  type text COLLATE "C",
  content text,
  metadata json,
  created_at timestamptz,
  updated_at timestamptz NOT NULL,
  revision integer,
  PRIMARY KEY (ns, entity_id, version)
);
CREATE UNIQUE INDEX states_by_version ON kaizen.states (ns, version, position);
CREATE TABLE kaizen.entities (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  words tsvector NOT NULL,
  PRIMARY KEY (ns, entity_id)
);
CREATE INDEX entities_by_type ON kaizen.entities (ns, type, entity_id);
CREATE INDEX entities_by_version ON kaizen.entities (ns, version, entity_id);
CREATE INDEX entities_by_words ON kaizen.entities USING gin (words);
CREATE TABLE kaizen.fields (
  ns bigint NOT NULL,
  path text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, path, value, entity_id)
);
CREATE INDEX fields_by_entity ON kaizen.fields (ns, entity_id, path);
CREATE TABLE kaizen.models (
  model integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  dimension integer NOT NULL,
  UNIQUE (name, dimension)
);
CREATE TABLE kaizen.vectors (
  ns bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  model integer NOT NULL,
  embedding real[] NOT NULL,
  PRIMARY KEY (ns, entity_id, model)
);
CREATE TABLE kaizen.embedded (
  ns bigint NOT NULL,
  model integer NOT NULL,
  version bigint NOT NULL,
  entity_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, model)
)
"""

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
