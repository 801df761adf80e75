"""What is known of files and of the spans in them, kept beside them in SQLite, so that nothing is read twice.

It holds ids, times and places, and no content. Whoever deletes it loses nothing: the files are read again.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.sync.errors import SourceError
from kaizen.sync.model import IndexedSpan, IndexedTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.content import FileState

_VERSION = 1
_SCHEMA = """
CREATE TABLE about (version INTEGER, id TEXT, change INTEGER);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT, inode TEXT, size INTEGER, mtime_ns INTEGER,
    is_whole INTEGER, offset INTEGER, head TEXT, head_size INTEGER, tail TEXT, first_seen REAL
);
CREATE TABLE spans (
    trace_id TEXT, span_id TEXT, parent_id TEXT, start INTEGER, ended INTEGER, file_id INTEGER, place INTEGER,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX files_by_path ON files (path);
CREATE INDEX spans_by_file ON spans (file_id);
CREATE TABLE traces (trace_id TEXT PRIMARY KEY, start INTEGER, change INTEGER) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (start, trace_id);
CREATE INDEX traces_by_change ON traces (change);
CREATE TABLE unread (
    file_id INTEGER, reason TEXT, example TEXT, times INTEGER, PRIMARY KEY (file_id, reason)
);
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WAIT_S = 120.0
_PAGE = 200


class KnownFile(NamedTuple):
    """A file as it was read last.

    What was read of it ends at `offset`; `head` and `tail` are digests of that. `is_whole` says that it is
    read as a whole, and again when it grows. `first_seen` is a POSIX time.
    """

    file_id: int
    path: Path
    inode: str
    size: int
    mtime_ns: int
    is_whole: bool
    offset: int
    head: str
    head_size: int
    tail: str
    first_seen: float

    def is_as(self, state: FileState) -> bool:
        return (str(self.path), *self[2:5]) == (str(state.path), *state[1:])


class FileIndex:
    """The index of one place, in a file of its own. Raises `SourceError` if that cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._opened = self._open()
            except (OSError, sqlite3.Error) as error:
                raise SourceError(
                    f"the index {self._path} cannot be used ({error}); "
                    "delete it, or set KAIZEN_CACHE_DIR to a directory that can be written"
                ) from error
        return self._opened

    def _open(self) -> sqlite3.Connection:
        # Addresses of spans are asked for by the threads that ask the model.
        db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN IMMEDIATE")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "about" in tables and db.execute("SELECT version FROM about").fetchone() != (_VERSION,):
            for name in tables:
                db.execute(f"DROP TABLE {name}")
            tables = set()
        if not tables:
            for statement in _SCHEMA.strip().split(";\n"):
                db.execute(statement)
            db.execute("INSERT INTO about VALUES (?, ?, 0)", (_VERSION, secrets.token_hex(8)))
        db.execute("COMMIT")
        return db

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make all changes within together or none; another process waits meanwhile."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def position(self) -> str:
        """Return what names the state of the index among all that it had."""
        own_id, change = self._db.execute("SELECT id, change FROM about").fetchone()
        return f"{own_id}:{change}"

    def changed_since(self, position: str) -> list[str] | None:
        """Return the traces with spans that came after a position, oldest first; None if it is not known."""
        own_id, change = self._db.execute("SELECT id, change FROM about").fetchone()
        theirs, _, number = position.partition(":")
        if theirs != own_id or not number.isdigit() or int(number) > change:
            return None
        rows = self._db.execute(
            "SELECT trace_id FROM traces WHERE change > ? ORDER BY start, trace_id", (int(number),)
        )
        return [trace_id for (trace_id,) in rows]

    def newest_start(self) -> datetime | None:
        (newest,) = self._db.execute("SELECT MAX(start) FROM traces").fetchone()
        return None if newest is None else _time(newest)

    def traces(self, since: datetime | None, until: datetime | None) -> Iterator[IndexedTrace]:
        """Yield the traces that started in that time, oldest first."""
        after: tuple[int, str] = (_micros(since) if since else -(2**62), "")
        end = _micros(until) if until else 2**62
        while True:
            rows = self._db.execute(
                "SELECT start, trace_id FROM traces WHERE (start, trace_id) > (?, ?) AND start < ?"
                " ORDER BY start, trace_id LIMIT ?",
                (*after, end, _PAGE),
            ).fetchall()
            for start, trace_id in rows:
                yield IndexedTrace(trace_id=trace_id, start_time=_time(start), spans=self._spans(trace_id))
            if len(rows) < _PAGE:
                return
            after = rows[-1]

    def _spans(self, trace_id: str) -> tuple[IndexedSpan, ...]:
        rows = self._db.execute("SELECT span_id, parent_id, ended FROM spans WHERE trace_id = ?", (trace_id,))
        return tuple(
            IndexedSpan(span_id=span_id, parent_id=parent_id, end_time=_time(ended))
            for span_id, parent_id, ended in rows
        )

    def places(self, trace_id: str) -> list[tuple[int, int, str]]:
        """Return where the spans of a trace are: file, place in it, and span id, in order of place."""
        return self._db.execute(
            "SELECT file_id, place, span_id FROM spans WHERE trace_id = ? ORDER BY file_id, place",
            (trace_id,),
        ).fetchall()

    def files(self) -> list[KnownFile]:
        return list(map(_known, self._db.execute("SELECT * FROM files")))

    def file(self, file_id: int) -> KnownFile | None:
        return self._file("id", file_id)

    def file_at(self, path: Path) -> KnownFile | None:
        return self._file("path", str(path))

    def _file(self, column: str, value: object) -> KnownFile | None:
        row = self._db.execute(f"SELECT * FROM files WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
        return row and _known(row)

    def put_file(self, known: KnownFile) -> KnownFile:
        """Keep what is known of a file now; one with id 0 is new."""
        values = (known.file_id or None, str(known.path), *known[2:])
        self._db.execute("DELETE FROM files WHERE id = ?", (known.file_id,))
        done = self._db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return known._replace(file_id=done.lastrowid or known.file_id)

    def add_spans(self, file_id: int, place: int, spans: Iterable[Span]) -> None:
        """Add the spans of one place; one that is known already stays where it is."""
        for span in spans:
            start = _micros(span.start_time)
            done = self._db.execute(
                "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)",
                (span.trace_id, span.span_id, span.parent_id, start, _micros(span.end_time), file_id, place),
            )
            if done.rowcount:
                self._db.execute(
                    "INSERT INTO traces SELECT ?, ?, change + 1 FROM about WHERE true ON CONFLICT (trace_id)"
                    " DO UPDATE SET start = MIN(start, excluded.start), change = excluded.change",
                    (span.trace_id, start),
                )

    def forget_spans(self, file_id: int) -> None:
        """Remove the spans of a file, which is read again or gone."""
        of_file = "SELECT DISTINCT trace_id FROM spans WHERE file_id = ?"
        trace_ids = self._db.execute(of_file, (file_id,)).fetchall()
        self._db.execute("DELETE FROM spans WHERE file_id = ?", (file_id,))
        for (trace_id,) in trace_ids:
            self._db.execute("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
            self._db.execute(
                "INSERT INTO traces SELECT trace_id, MIN(start), about.change + 1 FROM spans, about"
                " WHERE trace_id = ? GROUP BY trace_id",
                (trace_id,),
            )

    def forget_file(self, file_id: int) -> None:
        self.forget_spans(file_id)
        self.forget_unread(file_id)
        self._db.execute("DELETE FROM files WHERE id = ?", (file_id,))

    def step(self) -> None:
        """Say that something has changed since the position before."""
        self._db.execute("UPDATE about SET change = change + 1")

    def count_unread(self, file_id: int, reason: str, example: str) -> None:
        self._db.execute(
            "INSERT INTO unread VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1",
            (file_id, reason, example),
        )

    def forget_unread(self, file_id: int, reason: str | None = None) -> None:
        """Forget what could not be read in a file, all of it or that of one kind."""
        self._db.execute(
            "DELETE FROM unread WHERE file_id = ?1 AND (?2 IS NULL OR reason = ?2)", (file_id, reason)
        )

    def unread(self) -> Counter[str]:
        """Return what could not be read, with the first place of each kind, and how often."""
        rows: Sequence[tuple[str, str, int]] = self._db.execute(
            "SELECT reason, MIN(example), SUM(times) FROM unread GROUP BY reason ORDER BY reason"
        ).fetchall()
        return Counter({f"{reason} ({example})": times for reason, example, times in rows})


def _known(row: tuple[Any, ...]) -> KnownFile:
    return KnownFile._make((row[0], Path(row[1]), *row[2:5], bool(row[5]), *row[6:]))


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
