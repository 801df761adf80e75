"""Make the tables of the sqlite backend: one list of migrations, each applied once and recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from kaizen.store import files
from kaizen.store.backends.sqlite.rows import OF_STATE, to_entity
from kaizen.store.errors import check_schema
from kaizen.store.text import fold_text, searched_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A state is an entity as one commit left it, and never changes. `entities` names the current state of each
# entity; what came before is found through `before_id`, so that no content is stored twice. A kind is a type
# within a namespace: each has its own full-text table `text_<kind>`, so that many long trajectories neither
# slow down nor outweigh the tips beside them. `fields` holds what a filter may ask of the current metadata.
# `vectors` has rowids, since a row of a kilobyte takes a page of its own in a table without.
_FIRST = """
CREATE TABLE namespaces (
  ns INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  version INTEGER NOT NULL
);
CREATE TABLE kinds (
  kind INTEGER PRIMARY KEY AUTOINCREMENT,
  ns INTEGER NOT NULL,
  type TEXT NOT NULL,
  size INTEGER NOT NULL DEFAULT 0,
  UNIQUE (ns, type)
);
CREATE TABLE commits (
  ns INTEGER NOT NULL,
  version INTEGER NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  run_id TEXT,
  PRIMARY KEY (ns, version)
) WITHOUT ROWID;
CREATE INDEX commits_by_run ON commits (ns, run_id, version) WHERE run_id IS NOT NULL;
CREATE TABLE states (
  state_id INTEGER PRIMARY KEY AUTOINCREMENT,
  ns INTEGER NOT NULL,
  version INTEGER NOT NULL,
  entity_id TEXT NOT NULL,
  before_id INTEGER,
  revision INTEGER NOT NULL,
  created_at INTEGER,
  updated_at INTEGER,
  type TEXT,
  metadata TEXT,
  content TEXT
);
CREATE INDEX states_by_version ON states (ns, version, state_id);
CREATE INDEX states_by_entity ON states (ns, entity_id, version);
CREATE TABLE entities (
  ns INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  state_id INTEGER NOT NULL,
  PRIMARY KEY (ns, id)
) WITHOUT ROWID;
CREATE INDEX entities_by_kind ON entities (kind, id);
CREATE INDEX entities_by_state ON entities (kind, state_id);
CREATE TABLE fields (
  ns INTEGER NOT NULL,
  path TEXT NOT NULL,
  value TEXT NOT NULL,
  entity_id TEXT NOT NULL,
  PRIMARY KEY (ns, path, value, entity_id)
) WITHOUT ROWID;
CREATE TABLE vectors (
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  state_id INTEGER NOT NULL,
  vector BLOB NOT NULL
);
CREATE UNIQUE INDEX vectors_by_state ON vectors (kind, model, state_id);
CREATE TABLE embedded (
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  up_to INTEGER NOT NULL,
  PRIMARY KEY (kind, model)
) WITHOUT ROWID;
"""


def _fold_texts(connection: sqlite3.Connection) -> None:
    """Write the words of all current states again: those of before were folded by SQLite, not by us."""
    for (kind,) in connection.execute("SELECT kind FROM kinds").fetchall():
        connection.execute(f"DELETE FROM text_{int(kind)}")  # noqa: S608 - an integer of ours
        states = connection.execute(
            f"SELECT e.state_id, {OF_STATE} FROM entities e JOIN states s ON s.state_id = e.state_id "  # noqa: S608
            "WHERE e.kind = ?",
            (kind,),
        )
        connection.executemany(
            f"INSERT INTO text_{int(kind)} (rowid, body) VALUES (?, ?)",  # noqa: S608 - an integer of ours
            ((state_id, fold_text(searched_text(to_entity("", row)))) for state_id, *row in states),
        )


Migration: TypeAlias = str | Callable[[sqlite3.Connection], None]
"""Statements with `;` at the ends of lines, or a function that executes them."""

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _fold_texts)


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations the database has had; 0 for a new one."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    if known is None:
        return 0
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Bring the database to the newest schema, one transaction for each step, after a backup of an older one.

    The caller sees to it that nobody else migrates at the same time.
    """
    version = version_of(connection)
    check_schema(path, version, known=len(migrations))
    if 0 < version < len(migrations):
        _back_up(connection, path.with_name(f"{path.name}.schema-{version}.bak"))
    for number, migration in enumerate(migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)"
            )
            if isinstance(migration, str):
                for statement in filter(str.strip, migration.split(";\n")):
                    connection.execute(statement)
            else:
                migration(connection)
            connection.execute("INSERT INTO migrations VALUES (?, datetime('now'))", (number,))
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has ended the transaction already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    files.create_empty_file(partial)
    copy = sqlite3.connect(partial)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    partial.replace(path)
