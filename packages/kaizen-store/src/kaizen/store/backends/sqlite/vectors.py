"""Make the vectors that the sqlite backend lacks, and hold them in memory to compare them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from kaizen.store.backends.sqlite.rows import OF_STATE, to_entity
from kaizen.store.embedders import embed_in_batches

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from kaizen.store.backends.sqlite.connections import Connections
    from kaizen.store.embedders import Embedder

# A matrix is read anew when so large a part of it is of states that are no more.
_STALE_PART = 0.25
_STALE_ROWS = 1_000


class VectorMatrix:
    """The vectors of one kind and model, one row for each state that was current when it was read.

    States never change and get their vectors in order of id, so that reading on from the last one gives all
    that is new. What was superseded since stays until it is much; who searches asks what is current.
    """

    def __init__(self, kind: int, model: str, dimension: int) -> None:
        self.model = model
        self._kind = kind
        self._dimension = dimension
        self._lock = threading.Lock()
        self._clear()

    def refresh(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            size = connection.execute("SELECT size FROM kinds WHERE kind = ?", (self._kind,)).fetchone()
            if self._rows > _STALE_ROWS + (1 + _STALE_PART) * (size[0] if size else 0):
                self._clear()
            rows = connection.execute(
                "SELECT state_id, vector FROM vectors WHERE kind = ? AND model = ? AND state_id > ? "
                "ORDER BY state_id",
                (self._kind, self.model, int(self._state_ids[self._rows - 1]) if self._rows else 0),
            ).fetchall()
            if rows:
                self._append(rows)

    def scores(self, vector: NDArray[Any], only: Sequence[int] | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """State ids and the cosine of each with the vector; of those in `only`, if given."""
        with self._lock:
            state_ids, vectors = self._state_ids[: self._rows], self._vectors[: self._rows]
        if only is not None:
            rows = np.flatnonzero(np.isin(state_ids, np.asarray(only, dtype=np.int64)))
            state_ids, vectors = state_ids[rows], vectors[rows]
        return state_ids, vectors @ vector

    def _clear(self) -> None:
        self._rows = 0
        self._state_ids: NDArray[Any] = np.empty(0, dtype=np.int64)
        self._vectors: NDArray[Any] = np.empty((0, self._dimension), dtype=np.float32)

    def _append(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Add rows; the room grows by half, so that adding one after the other copies little."""
        needed = self._rows + len(rows)
        if needed > len(self._state_ids):
            room = max(needed, len(self._state_ids) * 3 // 2)
            state_ids = np.empty(room, dtype=np.int64)
            vectors = np.empty((room, self._dimension), dtype=np.float32)
            state_ids[: self._rows] = self._state_ids[: self._rows]
            vectors[: self._rows] = self._vectors[: self._rows]
            self._state_ids, self._vectors = state_ids, vectors
        self._state_ids[self._rows : needed] = [state_id for state_id, _ in rows]
        joined = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
        self._vectors[self._rows : needed] = joined.reshape(len(rows), self._dimension)
        self._rows = needed


def top(state_ids: NDArray[Any], scores: NDArray[Any], how_many: int) -> list[tuple[float, int]]:
    """The greatest scores with their states, in no order."""
    if how_many < len(scores):
        best = np.argpartition(scores, len(scores) - how_many)[-how_many:]
        state_ids, scores = state_ids[best], scores[best]
    return list(zip(scores.tolist(), state_ids.tolist(), strict=True))


def embed_pending(
    connections: Connections,
    kind: int,
    embedder: Embedder,
    *,
    at_most: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> int:
    """Embed the current states of a kind that this model has not embedded yet; return how many."""

    def read(limit: int) -> list[Any]:
        with connections.reading() as connection:
            return _next(connection, kind, embedder.model, limit)

    def write(rows: Sequence[Any], vectors: NDArray[Any]) -> None:
        with connections.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO vectors SELECT kind, ?, state_id, ? FROM entities "
                "WHERE kind = ? AND state_id = ?",
                [
                    (embedder.model, vector.tobytes(), kind, row[0])
                    for row, vector in zip(rows, vectors, strict=True)
                    # One of zeros says nothing, and has no cosine.
                    if vector.any()
                ],
            )
            connection.execute(
                "INSERT INTO embedded VALUES (?, ?, ?) "
                "ON CONFLICT (kind, model) DO UPDATE SET up_to = max(up_to, excluded.up_to)",
                (kind, embedder.model, rows[-1][0]),
            )

    with connections.reading() as connection:
        total = _pending(connection, kind, embedder.model)
    total = total if at_most is None else min(total, at_most)
    return embed_in_batches(embedder, total, read, lambda row: to_entity("", row[1:]), write, progress)


_AFTER = "(SELECT coalesce(max(up_to), 0) FROM embedded WHERE kind = :kind AND model = :model)"


def _pending(connection: sqlite3.Connection, kind: int, model: str) -> int:
    sql = f"SELECT count(*) FROM entities WHERE kind = :kind AND state_id > {_AFTER}"  # noqa: S608
    return int(connection.execute(sql, {"kind": kind, "model": model}).fetchone()[0])


def _next(connection: sqlite3.Connection, kind: int, model: str, limit: int) -> list[Any]:
    return connection.execute(
        f"SELECT e.state_id, {OF_STATE} FROM entities e CROSS JOIN states s ON s.state_id = e.state_id "  # noqa: S608
        f"WHERE e.kind = :kind AND e.state_id > {_AFTER} ORDER BY e.state_id LIMIT :limit",
        {"kind": kind, "model": model, "limit": limit},
    ).fetchall()
