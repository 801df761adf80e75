"""Search the postgres backend: words by tsvector, meanings by pgvector or by numpy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kaizen.store import ranking
from kaizen.store.backends.postgres.rows import STATE_COLUMNS, STATE_OF_ENTITY, fetch, to_entity
from kaizen.store.backends.postgres.vectors import (
    Model,
    embed_pending,
    find_model,
    forget_other_models,
    index_where_many,
    may_have_extension,
    nearest,
    to_vector,
)
from kaizen.store.embedders import LazyEmbedder
from kaizen.store.model import SearchHit
from kaizen.store.text import query_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg
    from numpy.typing import NDArray

    from kaizen.store.backends.postgres.connections import Connections
    from kaizen.store.backends.postgres.reading import Selection
    from kaizen.store.backends.postgres.rows import Row
    from kaizen.store.backends.postgres.statistics import Statistics
    from kaizen.store.embedders import Embedder

# A search embeds at most this many entities that nobody embedded yet: a second or so. `reindex` has no limit.
MAX_EMBEDDED_BY_SEARCH = 2_000
# What PostgreSQL takes for a word has at most 2,046 bytes.
_MAX_WORD = 500

# Of how many texts at most the rank is computed: it takes some 15 microseconds each.
MAX_RANKED = 2_000

# Whether any of the words is there, and how close together many of them are, over 1 + log of the length.
# The query is bound as a `tsquery`: made of its words here, it would be made again for each text.
_QUERY = "%(words)s::tsquery"
_RANK = f"ts_rank_cd(e.words, {_QUERY}, 1)"


class Searcher:
    """Search one store."""

    def __init__(self, connections: Connections, embedder: str, statistics: Statistics) -> None:
        self._connections = connections
        self._statistics = statistics
        self._embedder = LazyEmbedder(embedder)

    def search(self, namespace_id: str, selection: Selection, query: str, *, limit: int) -> list[SearchHit]:
        ns = selection.values["ns"]
        model, vector = self._embedder.query(query, partial(self._embed, ns))

        def find(connection: psycopg.Connection) -> list[SearchHit]:
            wanted = ranking.candidate_count(limit)
            words = _any_of(connection, ns, query_words(query))
            lexical = _by_words(connection, selection, words, wanted) if words else {}
            dense = {} if model is None else nearest(connection, model, selection, vector, wanted)
            least = ranking.least_cosine(self._embedder.get() if dense else None)
            fused = ranking.fuse_scores(lexical, dense, least_cosine=least)
            best = dict(list(fused.items())[:limit])
            rows = _scored(connection, ns, list(best), words, model)
            return [_hit(namespace_id, best, row, vector) for row in rows]

        return self._connections.snapshot(find)

    def reindex(self, ns: int, progress: Callable[[int, int], None]) -> int:
        embedder = self._embedder.get()
        if embedder is None:
            return 0
        model = find_model(self._connections, embedder)
        forget_other_models(self._connections, ns, model)
        count = embed_pending(self._connections, ns, model, embedder, progress=progress)
        self._statistics.note(count)
        index_where_many(self._connections, model)
        return count

    def vector_search(self) -> Literal["hnsw", "exact"]:
        return "hnsw" if self._connections.read(may_have_extension) else "exact"

    def _embed(self, ns: int, embedder: Embedder) -> Model:
        model = find_model(self._connections, embedder)
        count = embed_pending(self._connections, ns, model, embedder, at_most=MAX_EMBEDDED_BY_SEARCH)
        self._statistics.note(count)
        if count and model.extension is not None:
            index_where_many(self._connections, model)
        return model


def _any_of(connection: psycopg.Connection, ns: int, words: Sequence[str]) -> str:
    """Return the rarest of the words as text of a `tsquery`, stemmed; all of them if there are few texts.

    Empty if no word is in any text.
    """
    found = fetch(
        connection,
        "SELECT stemmed, (SELECT count(*) FROM (SELECT FROM kaizen.entities e "
        "WHERE e.ns = %(ns)s AND e.words @@ stemmed::tsquery LIMIT %(most)s) counted), "
        "(SELECT count(*) FROM (SELECT FROM kaizen.entities e WHERE e.ns = %(ns)s LIMIT %(most)s) counted) "
        "FROM (SELECT DISTINCT plainto_tsquery('kaizen.words', word)::text AS stemmed "
        "FROM unnest(%(words)b::text[]) word) stems WHERE stemmed <> '' ORDER BY 2, 1",
        {"ns": ns, "words": [word for word in words if len(word) <= _MAX_WORD], "most": MAX_RANKED + 1},
    )
    counts = {stemmed: count for stemmed, count, _ in found if count}
    are_many = bool(found) and found[0][2] > MAX_RANKED
    ranked = ranking.rarest_words(counts, at_most=MAX_RANKED) if are_many else list(counts)
    return " | ".join(f"({stemmed})" for stemmed in ranked)


def _by_words(
    connection: psycopg.Connection, selection: Selection, words: str, how_many: int
) -> dict[str, float]:
    rows = fetch(
        connection,
        f"SELECT e.entity_id, {_RANK} AS score FROM {selection.tables} "  # noqa: S608
        f"WHERE e.words @@ {_QUERY} AND {selection.condition} "
        "ORDER BY score DESC, e.entity_id LIMIT %(how_many)s",
        {**selection.values, "words": words, "how_many": how_many},
    )
    return dict(rows)


def _scored(
    connection: psycopg.Connection, ns: int, best: list[str], words: str, model: Model | None
) -> list[Row]:
    """Return the states in this order, each with both scores, whichever made it a candidate."""
    return fetch(
        connection,
        f"SELECT CASE WHEN e.words @@ {_QUERY} THEN {_RANK} END, array_send(v.embedding), {STATE_COLUMNS} "  # noqa: S608
        "FROM unnest(%(ids)b::text[]) WITH ORDINALITY b (entity_id, place) "
        f"JOIN kaizen.entities e ON e.ns = %(ns)s AND e.entity_id = b.entity_id {STATE_OF_ENTITY} "
        "LEFT JOIN kaizen.vectors v ON v.ns = e.ns AND v.entity_id = e.entity_id AND v.model = %(model)s "
        "ORDER BY b.place",
        {"ns": ns, "ids": best, "words": words, "model": None if model is None else model.model},
    )


def _hit(namespace_id: str, scores: Mapping[str, float], row: Row, vector: NDArray[Any] | None) -> SearchHit:
    lexical, embedding, *state = row
    entity = to_entity(namespace_id, tuple(state))
    assert entity is not None
    dense = None if embedding is None or vector is None else float(to_vector(embedding) @ vector)
    return SearchHit(entity=entity, score=scores[entity.id], lexical=lexical, dense=dense)
