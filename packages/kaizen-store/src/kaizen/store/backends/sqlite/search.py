"""Search the sqlite backend: words by FTS5, meanings by comparing all vectors with numpy."""

from __future__ import annotations

import json
import threading
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen.store import ranking
from kaizen.store.backends.sqlite.reading import Selection
from kaizen.store.backends.sqlite.rows import OF_STATE, to_entity
from kaizen.store.backends.sqlite.vectors import VectorMatrix, embed_pending, top
from kaizen.store.embedders import LazyEmbedder
from kaizen.store.model import SearchHit
from kaizen.store.text import query_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from kaizen.store.backends.sqlite.connections import Connections
    from kaizen.store.embedders import Embedder
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Entity

# A search embeds at most this many entities of a type that nobody embedded yet: a second or so.
# `reindex` has no limit.
MAX_EMBEDDED_BY_SEARCH = 2_000
# Up to so many selected entities the search looks only at them; beyond, at the best ones until enough fit.
_FEW = 2_000
_GROWTH = 4
MAX_RANKED = 4_000


class Searcher:
    """Search one store. Vectors stay in memory, a kilobyte or so for each entity searched."""

    def __init__(
        self, connections: Connections, embedder: str, ns_of: Callable[[sqlite3.Connection, str], int]
    ) -> None:
        self._connections = connections
        self._embedder = LazyEmbedder(embedder)
        self._ns_of = ns_of
        self._matrices: dict[int, VectorMatrix] = {}
        self._lock = threading.Lock()

    def search(self, namespace_id: str, query: str, selected: Filter, *, limit: int) -> list[SearchHit]:
        with self._connections.reading() as connection:
            kinds = _kinds(connection, self._ns_of(connection, namespace_id), selected.type)
        # Where there is nothing to be found, no embedder need be loaded.
        embedder: Embedder | None = None
        vector: Any = None
        if kinds:
            embedder, vector = self._embedder.query(query, partial(self._embed, kinds))
        with self._connections.reading() as connection:
            ns = self._ns_of(connection, namespace_id)
            kinds = _kinds(connection, ns, selected.type)
            fitting = _Fitting(connection, Selection.of(connection, ns, selected))
            wanted = ranking.candidate_count(limit)
            lexical = fitting.best(_by_words(connection, kinds, query_words(query), fitting.only), wanted)
            dense: dict[int, float] = {}
            if embedder is not None and vector.any():
                matrices = [self._matrix(connection, kind, embedder) for kind in kinds]
                dense = fitting.best(_by_meaning(matrices, vector, fitting.only), wanted)
            least = ranking.least_cosine(embedder)
            fused = ranking.fuse_scores(lexical, dense, least_cosine=least)
            best = list(fused)[:limit]
            entities = _entities(connection, namespace_id, best)
        return [
            SearchHit(
                entity=entities[state_id],
                score=fused[state_id],
                lexical=lexical.get(state_id),
                dense=dense.get(state_id),
            )
            for state_id in best
        ]

    def reindex(self, namespace_id: str, progress: Callable[[int, int], None]) -> int:
        embedder = self._embedder.get()
        if embedder is None:
            return 0
        with self._connections.writing() as connection:
            kinds = _kinds(connection, self._ns_of(connection, namespace_id), None)
            for kind in kinds:
                for table in ("vectors", "embedded"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE kind = ? AND model <> ?",  # noqa: S608 - names of ours
                        (kind, embedder.model),
                    )
        return sum(embed_pending(self._connections, kind, embedder, progress=progress) for kind in kinds)

    def _embed(self, kinds: Sequence[int], embedder: Embedder) -> Embedder:
        for kind in kinds:
            embed_pending(self._connections, kind, embedder, at_most=MAX_EMBEDDED_BY_SEARCH)
        return embedder

    def _matrix(self, connection: sqlite3.Connection, kind: int, embedder: Embedder) -> VectorMatrix:
        with self._lock:
            matrix = self._matrices.get(kind)
            if matrix is None or matrix.model != embedder.model:
                # Those of deleted namespaces go when another comes: a service must not grow with them.
                alive = {row[0] for row in connection.execute("SELECT kind FROM kinds")}
                self._matrices = {k: held for k, held in self._matrices.items() if k in alive}
                matrix = self._matrices[kind] = VectorMatrix(kind, embedder.model, embedder.dimension)
            matrix.refresh(connection)
            return matrix


class _Fitting:
    """Find which states a filter selects; `only` holds their ids if they are few."""

    def __init__(self, connection: sqlite3.Connection, selection: Selection) -> None:
        self._connection = connection
        self._selection = selection
        self.only = selection.few(connection, limit=_FEW)

    def best(self, found: Callable[[int], dict[int, float]], wanted: int) -> dict[int, float]:
        """The best `wanted` of what `found(how_many)` gives, best first, that are current and selected."""
        asked = wanted
        while True:
            scores = found(asked)
            fitting = self._selection.among(self._connection, scores)
            if len(fitting) >= wanted or len(scores) < asked:
                best = ((state_id, score) for state_id, score in scores.items() if state_id in fitting)
                return dict(islice(best, wanted))
            asked *= _GROWTH


def _kinds(connection: sqlite3.Connection, ns: int, type_: str | None) -> list[int]:
    of_type = "" if type_ is None else "AND type = ?"
    rows = connection.execute(
        f"SELECT kind FROM kinds WHERE ns = ? AND size > 0 {of_type}",  # noqa: S608
        (ns, *([] if type_ is None else [type_])),
    )
    return [kind for (kind,) in rows]


def _by_words(
    connection: sqlite3.Connection, kinds: Sequence[int], words: Sequence[str], only: Sequence[int] | None
) -> Callable[[int], dict[int, float]]:
    among = "" if only is None else "AND rowid IN (SELECT value FROM json_each(?))"
    matches = {
        kind: _match(words if only is not None else _rarest(connection, kind, words))
        for kind in (kinds if words else ())
    }

    def found(how_many: int) -> dict[int, float]:
        scores: list[tuple[float, int]] = []
        for kind, match in matches.items():
            # FTS5's rank is less than 0, and the less the better.
            scores += connection.execute(
                f"SELECT -rank, rowid FROM text_{int(kind)} WHERE text_{int(kind)} MATCH ? {among} "  # noqa: S608
                "ORDER BY rank LIMIT ?",
                (match, *([] if only is None else [json.dumps(only)]), how_many),
            )
        return {state_id: score for score, state_id in sorted(scores, reverse=True)[:how_many]}

    return found


def _match(words: Sequence[str]) -> str:
    """Any of the words; each is a string of FTS5's query language, so that none is taken for an operator."""
    return " OR ".join(f'"{word}"' for word in words)


def _rarest(connection: sqlite3.Connection, kind: int, words: Sequence[str]) -> Sequence[str]:
    """Return the rarest of the words; all of them if there are few texts.

    FTS5 ranks every text that has any of the words, at 2 microseconds each.
    """
    size = connection.execute("SELECT size FROM kinds WHERE kind = ?", (kind,)).fetchone()[0]
    if size <= MAX_RANKED:
        return words
    for most in (MAX_RANKED, size):
        counts = {word: _texts_with(connection, kind, word, at_most=most) for word in words}
        rare = {word: count for word, count in counts.items() if 0 < count < most}
        if rare:
            return ranking.rarest_words(rare, at_most=MAX_RANKED)
    return words


def _texts_with(connection: sqlite3.Connection, kind: int, word: str, *, at_most: int) -> int:
    sql = f"SELECT count(*) FROM (SELECT 1 FROM text_{kind} WHERE text_{kind} MATCH ? LIMIT ?)"  # noqa: S608
    return int(connection.execute(sql, (_match([word]), at_most)).fetchone()[0])


def _by_meaning(
    matrices: Sequence[VectorMatrix], vector: NDArray[Any], only: Sequence[int] | None
) -> Callable[[int], dict[int, float]]:
    scores = [matrix.scores(vector, only) for matrix in matrices]

    def found(how_many: int) -> dict[int, float]:
        best = [pair for ids, cosines in scores for pair in top(ids, cosines, how_many)]
        return {state_id: score for score, state_id in sorted(best, reverse=True)[:how_many]}

    return found


def _entities(
    connection: sqlite3.Connection, namespace_id: str, state_ids: Sequence[int]
) -> dict[int, Entity]:
    rows = connection.execute(
        f"SELECT s.state_id, {OF_STATE} FROM json_each(?) j CROSS JOIN states s ON s.state_id = j.value",  # noqa: S608
        (json.dumps(state_ids),),
    )
    return {state_id: to_entity(namespace_id, row) for state_id, *row in rows}
