"""Make the tables of the sqlite backend: one list of migrations, each applied once and recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kaizen.store import files
from kaizen.store.backends.sqlite.rows import OF_STATE, to_entity
from kaizen.store.errors import check_schema
from kaizen.store.text import fold_text, searched_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


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
