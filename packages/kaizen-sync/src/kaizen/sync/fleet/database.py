"""The tables of a fleet, in a schema of their own beside the store's. The one module that executes SQL."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from kaizen.store import UnavailableError
from kaizen.sync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.store import StoreSettings

SCHEMA = "kaizen_fleet"

# Whoever makes tables holds this lock.
_LOCK = int.from_bytes(b"fleet", "big")
_AGAIN_AFTER_S = 0.5

# Each is applied once, in order. Workers of the version before go on beside the next one, so a step adds
# tables, columns with a default and indexes, and changes or removes nothing that older workers use.
MIGRATIONS = (
    """
    CREATE TABLE schedules (
      name text PRIMARY KEY, source text NOT NULL, projects jsonb NOT NULL, namespace text NOT NULL,
      options jsonb NOT NULL, every_s double precision NOT NULL,
      next_at timestamptz NOT NULL DEFAULT now(), last_at timestamptz);
    CREATE TABLE projects (
      source text, project text, namespace text, failures integer NOT NULL DEFAULT 0,
      problem text NOT NULL DEFAULT '', retry_at timestamptz, updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (source, project, namespace));
    CREATE TABLE buckets (
      name text PRIMARY KEY, per_minute double precision NOT NULL, tokens double precision NOT NULL,
      at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE budgets (name text PRIMARY KEY, usd_per_day double precision NOT NULL);
    CREATE TABLE work (
      minute timestamptz, source text, project text, namespace text, traces bigint NOT NULL DEFAULT 0,
      failed bigint NOT NULL DEFAULT 0, calls bigint NOT NULL DEFAULT 0,
      usd double precision NOT NULL DEFAULT 0, requests bigint NOT NULL DEFAULT 0,
      PRIMARY KEY (minute, source, project, namespace));
    CREATE TABLE workers (
      id text PRIMARY KEY, host text NOT NULL, pid integer NOT NULL, version text NOT NULL,
      jobs integer NOT NULL DEFAULT 0, started_at timestamptz NOT NULL DEFAULT now(),
      seen_at timestamptz NOT NULL DEFAULT now())
    """,
)


class Database:
    """The fleet's tables; any number of threads may use it, one statement at a time.

    Methods raise `UnavailableError` if the database does not answer, also when asked again.
    """

    def __init__(self, dsn: str) -> None:
        self.conninfo = make_conninfo(
            dsn, options=f"-c search_path={SCHEMA}", application_name="kaizen fleet"
        )
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_store(cls, settings: StoreSettings) -> Database:
        """Return that of the store's database; raises `SettingsError` if the store is not on PostgreSQL."""
        if settings.backend != "postgres":
            raise SettingsError(
                f"a fleet needs a store that all machines reach, not one of '{settings.backend}': set "
                "KAIZEN_BACKEND=postgresql://user@host/database, see the guide 'Many machines'"
            )
        return cls(settings.pg_dsn)

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Execute one statement and return its rows; do it once more on a connection that was lost.

        A statement that was done twice therefore must do no harm.
        """
        try:
            return self._execute(sql, values)
        except psycopg.OperationalError:
            time.sleep(_AGAIN_AFTER_S)
        try:
            return self._execute(sql, values)
        except psycopg.OperationalError as error:
            raise UnavailableError(
                f"the database of the fleet does not answer: {str(error).strip()}"
            ) from error

    def prepare(self) -> None:
        """Make the tables, ours and Procrastinate's, or bring ours to the newest version."""
        try:
            with psycopg.connect(self.conninfo) as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                _migrate(connection)
        except psycopg.OperationalError as error:
            raise UnavailableError(
                f"the database of the fleet does not answer: {str(error).strip()}"
            ) from error

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _execute(self, sql: str, values: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self.conninfo, autocommit=True, row_factory=dict_row)
            try:
                cursor = self._connection.execute(sql, values)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self.close()
                raise


def _migrate(connection: psycopg.Connection[Any]) -> None:
    if not _exists(connection, "SELECT FROM pg_namespace WHERE nspname = %s", [SCHEMA]):
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, at timestamptz DEFAULT now())"
    )
    if not _exists(
        connection,
        "SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'procrastinate_jobs'",
        [SCHEMA],
    ):
        from procrastinate.schema import SchemaManager

        connection.execute(SchemaManager.get_schema())
    row = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()
    assert row is not None
    for version, migration in enumerate(MIGRATIONS[row[0] :], row[0] + 1):
        connection.execute(migration)
        connection.execute("INSERT INTO migrations (version) VALUES (%s)", (version,))


def _exists(connection: psycopg.Connection[Any], rows: str, values: Sequence[str]) -> bool:
    return bool(connection.execute(f"SELECT EXISTS ({rows})", values).fetchone() == (True,))
