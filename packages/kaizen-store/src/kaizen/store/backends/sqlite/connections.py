"""Connect to one SQLite file: shared by threads, not by processes, with errors in our words.

Not a pool of a library: those know neither forks nor files that are replaced while they are open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from kaizen.store import files
from kaizen.store.backends.sqlite import schema as sqlite_schema
from kaizen.store.errors import CorruptDataError, StoreError, UnavailableError, check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

BUSY_TIMEOUT_S = 60.0

_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_DAMAGED = ("malformed", "not a database", "corrupt", "decode to UTF-8", "vtable constructor failed")
_HANGS = f"another process has been writing for {BUSY_TIMEOUT_S:.0f} seconds; end it if it hangs"
_WRITE_ACCESS = "give this user write access, or set KAIZEN_DATA_DIR to another directory"
# By words of SQLite's messages, the first that is in one.
_ADVICE = {
    "locked": _HANGS,
    "busy": _HANGS,
    "full": "free some space, then try again",
    "I/O": "the disk is full or fails: free some space, or look for what ails it, then try again",
    "readonly": _WRITE_ACCESS,
    "unable to open": _WRITE_ACCESS,
    "too big": "SQLite holds at most 1,000,000,000 bytes in one value: store less",
}
# An error may quote the whole of a damaged text.
_MAX_REASON = 200


class Connections:
    """Hand out connections without a limit: each use takes an idle one or opens one.

    WAL lets readers go on while somebody writes. With `synchronous` FULL a commit is on the disk when it
    returns (SQLite, "PRAGMA synchronous": in WAL mode NORMAL may lose the last commits in a power failure).
    Whoever wants to write waits for `BUSY_TIMEOUT_S` at most. `durable=False` is for what can be made again.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._synchronous = "FULL" if durable else "OFF"
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        _of_this_process.add(self)

    def exists(self) -> bool:
        """Return whether there is a database; reading makes none."""
        self._check_open()
        with files.os_errors(self.path):
            return files.status(self.path) is not None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection with one consistent view of the data."""
        with self._transaction("BEGIN", self._open_for_reading) as connection:
            yield connection

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction that no other writer overlaps; an exception undoes it all."""
        with self._transaction("BEGIN IMMEDIATE", self._open_or_make if create else self._open) as connection:
            yield connection

    def corrupt(self, reason: str) -> CorruptDataError:
        return CorruptDataError(
            f"{self.path}: {reason}; nothing was changed: restore the file from a backup, or move it away",
            path=str(self.path),
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._drop_idle()

    def start_afresh(self) -> None:
        """Drop what a forked child inherits from the process that opened the connections."""
        self._lock = threading.Lock()
        self._drop_idle()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str, open_: Callable[[], _Connection]) -> Iterator[sqlite3.Connection]:
        with self._errors():
            connection = self._take() or open_()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._give_back(connection)

    def _take(self) -> _Connection | None:
        self._check_open()
        while connection := self._pop():
            if connection.file_id == _file_id(self.path):
                return connection
            # Its file was removed or replaced, and nobody would find what it writes.
            connection.close()
        return None

    def _pop(self) -> _Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _open_or_make(self) -> _Connection:
        if files.status(self.path) is None:
            self._make_file()
        return self._open()

    def _open_for_reading(self) -> _Connection:
        try:
            return self._open()
        except sqlite3.OperationalError as exc:
            log = files.status(self.path.with_name(f"{self.path.name}-wal"))
            if exc.sqlite_errorcode & 0xFF not in _NOT_WRITABLE or (log is not None and log.st_size > 0):
                raise
        # Even to read, SQLite makes files beside the database, unless nobody can be writing to it.
        connection = self._connect(self.path, "mode=ro&immutable=1")
        if sqlite_schema.version_of(connection) != len(sqlite_schema.MIGRATIONS):
            connection.close()
            raise UnavailableError(
                f"{self.path}: it must be brought up to date once, and cannot be written to"
            )
        return connection

    def _open(self) -> _Connection:
        connection = self._connect(self.path)
        try:
            connection.file_id = _file_id(self.path)
            connection.execute("PRAGMA cache_size = -16000")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, path: Path, mode: str = "mode=rw") -> _Connection:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        # A damaged page is then found by who reads it first, not only by a check.
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

    def _make_file(self) -> None:
        """Make the database beside its place and then put it there: it is there whole or not at all."""
        files.make_directory(self.path.parent)
        with self._changing_tables():
            if files.status(self.path) is not None:
                return
            new = self.path.with_name(f"{self.path.name}.new")
            remove_database(new)
            try:
                files.create_empty_file(new)
                with closing(self._connect(new)) as connection:
                    sqlite_schema.migrate(connection, new, sqlite_schema.MIGRATIONS)
                    connection.execute("PRAGMA journal_mode = WAL")
                os.replace(new, self.path)
            finally:
                remove_database(new)
            files.sync_directory(self.path.parent)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        migrations = sqlite_schema.MIGRATIONS
        version = sqlite_schema.version_of(connection)
        if version == 0:
            raise self.corrupt("it is empty, or a database of another program")
        check_schema(self.path, version, known=len(migrations))
        if version < len(migrations):
            with self._changing_tables():
                sqlite_schema.migrate(connection, self.path, migrations)

    def _changing_tables(self) -> AbstractContextManager[None]:
        lock = self.path.with_name(f"{self.path.name}.lock")
        return files.lock_file(lock, timeout_s=BUSY_TIMEOUT_S)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store in {self.path} is closed: open it again")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with files.os_errors(self.path):
            try:
                yield
            except sqlite3.DatabaseError as exc:
                raise self._explained(exc) from exc
            except StoreError:
                raise
            except ValueError as exc:
                # What SQLite or we make of a row is right unless the row is not.
                raise self.corrupt(str(exc)[:_MAX_REASON]) from exc

    def _explained(self, error: sqlite3.DatabaseError) -> StoreError:
        said = str(error)[:_MAX_REASON]
        if any(word in said for word in _DAMAGED):
            return self.corrupt(said)
        advice = next((known for word, known in _ADVICE.items() if word in said), "mend that, then try again")
        return UnavailableError(f"{self.path}: {said}; {advice}")


def remove_database(path: Path) -> None:
    """Delete a database with its logs, which SQLite would take for those of the next file of that name."""
    for end in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


class _Connection(sqlite3.Connection):
    """With the identity of the file that it has open; None: to be used once."""

    file_id: tuple[int, int] | None = None


def _file_id(path: Path) -> tuple[int, int] | None:
    status = files.status(path)
    return None if status is None else (status.st_dev, status.st_ino)


_of_this_process: weakref.WeakSet[Connections] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    """Close what a child inherits, before it opens anything.

    SQLite takes each lock on a file once for a process. So a child that still has a connection of its parent
    to the file, of whatever store, gets no lock, and whoever closes the file next removes the log that the
    child writes to (SQLite, "How To Corrupt", section 2.6).
    """
    for connections in list(_of_this_process):
        connections.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
