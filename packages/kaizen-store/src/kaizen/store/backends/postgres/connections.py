"""Connect to PostgreSQL, and wrap its errors: the one place that does."""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, TransactionStatus

from kaizen.store.errors import InvalidInputError, StoreError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")

MAX_CONNECTIONS = 10
# How long a call waits for one of them: as long as a statement may take.
_WAIT_S = 60
STATEMENT_TIMEOUT = "60s"

# For what neither the connection string nor the environment says. A server that vanished is noticed within a
# minute or so, not after the two hours of the operating system.
_DEFAULTS = {
    "connect_timeout": "10",
    "fallback_application_name": "kaizen",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

# What our promises rest on, whatever the defaults of the server, the database or the user are. A random
# page costs what it costs in memory and on SSDs (4 is for spinning disks), and JIT would compile for longer
# than our statements run.
_CONFIGURE = f"""
SELECT set_config('timezone', 'UTC', false), set_config('jit', 'off', false),
  set_config('random_page_cost', least(current_setting('random_page_cost')::float, 1.1)::text, false),
  set_config('statement_timeout',
    CASE current_setting('statement_timeout')
      WHEN '0' THEN '{STATEMENT_TIMEOUT}' ELSE current_setting('statement_timeout') END, false),
  set_config('synchronous_commit',
    CASE current_setting('synchronous_commit')
      WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""

# The server ends these sessions itself; libpq may notice only at the next statement.
_ENDED_BY_SERVER = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.IdleSessionTimeout,
)


# A lock is a number in PostgreSQL.
_KEY = "hashtextextended(%s, 0)"


class _Held(threading.local):
    """The names of the locks that a thread holds."""

    def __init__(self) -> None:
        self.keys: set[str] = set()


class Connections:
    """At most `MAX_CONNECTIONS` connections to one database, for any number of threads.

    Not psycopg_pool: its threads open connections in the background, so that a wrong password is said to be a
    timeout, and they do not survive a fork.
    """

    def __init__(self, dsn: str) -> None:
        self._conninfo = _conninfo(dsn)
        self.location = _location(dsn)
        self._closed = False
        self._parents: list[psycopg.Connection] = []
        self._held = _Held()
        self._start_afresh()

    def read(self, work: Callable[[psycopg.Connection], Result]) -> Result:
        """Return what `work` returns, each statement a transaction; run it once more on a lost connection."""
        return self._run(work, again=True)

    def snapshot(self, work: Callable[[psycopg.Connection], Result]) -> Result:
        """Return what `work` reads; all of its statements see the same state of the database."""
        return self.read(_transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY", work))

    def write(self, work: Callable[[psycopg.Connection], Result]) -> Result:
        """Commit what `work` does as one transaction.

        It is done again if the connection is lost before the commit was asked for. If it is lost after,
        nobody knows whether it happened, and the `UnavailableError` says so.
        """
        return self._run(_transaction("ISOLATION LEVEL READ COMMITTED READ WRITE", work), again=True)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """Hold the lock of that name, in a connection of its own; see `admit`.

        The pool is not asked, since whoever holds the lock needs a connection of the pool.
        """
        if key in self._held.keys:
            yield
            return
        try:
            connection = self._connect()
        except psycopg.Error as exc:
            raise self._wrapped(exc) from exc
        try:
            connection.execute(f"SELECT pg_advisory_lock({_KEY})", (key,))
            self._held.keys.add(key)
            yield
        except psycopg.Error as exc:
            raise self._wrapped(exc) from exc
        finally:
            self._held.keys.discard(key)
            _close(connection)

    def admit(self, connection: psycopg.Connection, key: str) -> None:
        """Wait until nobody else holds the lock of that name, and keep others from it in this transaction."""
        if key not in self._held.keys:
            connection.execute(f"SELECT pg_advisory_xact_lock_shared({_KEY})", (key,))

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._drop_idle()

    def _run(self, work: Callable[[psycopg.Connection], Result], *, again: bool) -> Result:
        try:
            with self._connection() as connection:
                try:
                    return work(connection)
                except psycopg.Error as exc:
                    if not again or not _is_lost(exc, connection):
                        raise self._wrapped(exc) from exc
        except psycopg.Error as exc:
            raise self._wrapped(exc) from exc
        # The others were opened before this one was lost, and are likely lost with it.
        self._drop_idle()
        return self._run(work, again=False)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        if os.getpid() != self._pid:
            # The parent's connections are not ours to use or to close: ending them would end the parent's.
            self._parents.extend(self._idle)
            self._start_afresh()
        free = self._free
        if not free.acquire(timeout=_WAIT_S):
            raise UnavailableError(
                f"{self.location}: all {MAX_CONNECTIONS} connections were busy for {_WAIT_S} s"
            )
        try:
            connection = self._take() or self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            free.release()

    def _take(self) -> psycopg.Connection | None:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError(f"the store at {self.location} is closed: open it again")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if _is_quiet(connection):
                return connection
            _close(connection)

    def _connect(self) -> psycopg.Connection:
        connection: psycopg.Connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            connection.execute(_CONFIGURE)
        except BaseException:
            _close(connection)
            raise
        return connection

    def _give_back(self, connection: psycopg.Connection) -> None:
        with self._lock:
            if not self._closed and connection.info.transaction_status == TransactionStatus.IDLE:
                self._idle.append(connection)
                return
        _close(connection)

    def _drop_idle(self) -> None:
        with self._lock:
            idle = self._idle[:]
            self._idle.clear()
        if os.getpid() != self._pid:
            self._parents.extend(idle)
            return
        for connection in idle:
            _close(connection)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._idle: list[psycopg.Connection] = []

    def _wrapped(self, exc: psycopg.Error) -> StoreError:
        message = str(exc).strip() or type(exc).__name__
        if isinstance(exc, psycopg.errors.QueryCanceled):
            message += " (statement_timeout can be set by KAIZEN_PG_DSN's options=-cstatement_timeout=...)"
        if isinstance(exc, _UNAVAILABLE):
            return UnavailableError(f"{self.location}: {message}")
        return StoreError(f"{self.location}: {message}")


_UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
)


class _UnknownOutcomeError(psycopg.OperationalError):
    """Raised if the connection was lost while the server was asked to commit."""


def _transaction(
    mode: str, work: Callable[[psycopg.Connection], Result]
) -> Callable[[psycopg.Connection], Result]:
    def whole(connection: psycopg.Connection) -> Result:
        connection.execute(f"BEGIN {mode}")
        try:
            result = work(connection)
        except BaseException:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as exc:
            if not _is_lost(exc, connection):
                raise
            raise _UnknownOutcomeError(
                f"the connection was lost while committing ({str(exc).strip()}), so the change may have "
                "happened or not: read before you repeat it"
            ) from exc
        return result

    return whole


def _is_lost(exc: psycopg.Error, connection: psycopg.Connection) -> bool:
    if isinstance(exc, _UnknownOutcomeError):
        return False
    return connection.closed or isinstance(exc, _ENDED_BY_SERVER)


def _is_quiet(connection: psycopg.Connection) -> bool:
    """Return whether an idle connection is alive: unasked, a server says only that it ends it."""
    if connection.closed:
        return False
    try:
        return not select.select([connection.fileno()], [], [], 0)[0]
    except (OSError, ValueError, psycopg.Error):
        return False


def _close(connection: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        connection.close()


def _conninfo(dsn: str) -> str:
    """Return the connection string with our defaults; an error message shows nothing of it."""
    rule = "KAIZEN_PG_DSN is not a PostgreSQL connection string: write postgresql://user@host:port/database, "
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except psycopg.Error:
        raise InvalidInputError(f"{rule}or host=... dbname=...") from None
    ports = given.get("port", "").replace(",", "")
    after_user = dsn.partition("://")[2].partition("@")[2].partition("?")[0]
    if "@" in given.get("host", "") or "@" in after_user or not (ports.isdecimal() or not ports):
        raise InvalidInputError(f"{rule}with @, / and : in the password written as %40, %2F and %3A")
    environment = {
        option.keyword.decode()
        for option in Conninfo.get_defaults()
        if option.envvar and option.envvar.decode() in os.environ
    }
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in environment}
    return make_conninfo(**{**defaults, **given, "client_encoding": "UTF8"})


def _location(dsn: str) -> str:
    """Return where the database is, for people: never with a password."""
    known = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults()}
    known |= {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    user = known.get("user") or ""
    host = known.get("host") or known.get("hostaddr") or "localhost"
    return f"postgresql://{user}@{host}:{known.get('port')}/{known.get('dbname') or user}"
