"""What was seen of the traces of a server, kept in SQLite, so that a whole listing need not read them again.

It holds ids and times, and no content. Whoever deletes it loses nothing: the traces are read again.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from kaizen.sync.errors import SourceError
from kaizen.sync.model import IndexedSpan, IndexedTrace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kaizen.sync.model import Trace

_SCHEMA = """
CREATE TABLE IF NOT EXISTS traces_1 (
    trace_id TEXT PRIMARY KEY, start INTEGER, state TEXT, size INTEGER, spans TEXT, listing INTEGER
) WITHOUT ROWID
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WAIT_S = 120.0
_AT_ONCE = 200


class SeenTrace(NamedTuple):
    """A trace as it was read last. `state` is what the server's listing told of it then."""

    trace: IndexedTrace
    state: str


class SeenTraces:
    """The traces of one project that were seen. Raises `SourceError` if its file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        self._listing = 0

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def find(self, trace_ids: Sequence[str]) -> dict[str, SeenTrace]:
        found: dict[str, SeenTrace] = {}
        for start in range(0, len(trace_ids), _AT_ONCE):
            few = trace_ids[start : start + _AT_ONCE]
            rows = self._db.execute(
                f"SELECT trace_id, start, state, spans FROM traces_1 WHERE trace_id IN ({_marks(few)})",  # noqa: S608 - only marks
                few,
            )
            for trace_id, begin, state, spans in rows:
                found[trace_id] = SeenTrace(_indexed(trace_id, begin, spans), state)
        return found

    def add(self, traces: Iterable[tuple[Trace, str]]) -> None:
        """Note traces as they were read, with what the listing tells of them."""
        rows = [
            (trace.trace_id, _number(trace.start_time), state, len(trace.spans), _text(trace), self._listing)
            for trace, state in traces
            if trace.spans
        ]
        self._db.executemany("INSERT OR REPLACE INTO traces_1 VALUES (?, ?, ?, ?, ?, ?)", rows)

    def count_spans(self, *, before: datetime | None = None) -> int:
        """Return how many spans were seen, of all traces or of those that started before that time."""
        where, values = ("WHERE start < ?", [_number(before)]) if before else ("", [])
        (count,) = self._db.execute(f"SELECT sum(size) FROM traces_1 {where}", values).fetchone()  # noqa: S608
        return count or 0

    def begin_listing(self) -> None:
        """Begin a listing of all traces; those that are not met in it are gone."""
        (last,) = self._db.execute("SELECT max(listing) FROM traces_1").fetchone()
        self._listing = (last or 0) + 1

    def meet(self, trace_ids: Sequence[str]) -> None:
        for start in range(0, len(trace_ids), _AT_ONCE):
            few = trace_ids[start : start + _AT_ONCE]
            self._db.execute(
                f"UPDATE traces_1 SET listing = ? WHERE trace_id IN ({_marks(few)})",  # noqa: S608
                [self._listing, *few],
            )

    def end_listing(self) -> None:
        self._db.execute("DELETE FROM traces_1 WHERE listing < ?", [self._listing])

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Traces are fetched in other threads than those that list them.
                db = sqlite3.connect(
                    self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
                )
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=OFF")
                db.execute(_SCHEMA)
            except (OSError, sqlite3.Error) as error:
                raise SourceError(
                    f"the index {self._path} cannot be used ({error}); "
                    "delete it, or set KAIZEN_CACHE_DIR to a directory that can be written"
                ) from error
            self._opened = db
        return self._opened


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _number(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


def _text(trace: Trace) -> str:
    return json.dumps([[span.span_id, span.parent_id, _number(span.end_time)] for span in trace.spans])


def _indexed(trace_id: str, start: int, spans: str) -> IndexedTrace:
    return IndexedTrace(
        trace_id=trace_id,
        start_time=_time(start),
        spans=tuple(
            IndexedSpan(span_id=span_id, parent_id=parent_id, end_time=_time(end))
            for span_id, parent_id, end in json.loads(spans)
        ),
    )
