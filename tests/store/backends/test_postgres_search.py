"""What the postgres backend finds by words and by meaning, with pgvector and without."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kaizen.store import Delete, NotFoundError, Put, StoreError
from kaizen.store import embedders as embedding
from kaizen.store.backends.postgres import search as postgres_search
from kaizen.store.backends.postgres import vectors as postgres_vectors
from kaizen.store.backends.postgres.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    from numpy.typing import NDArray


class WordEmbedder:
    """Means the words of a text: each has a direction of its own, and `synonyms` share one."""

    def __init__(self, model: str = "words", dimension: int = 64) -> None:
        self.model, self.dimension = model, dimension
        self.synonyms = {"automobile": "car", "cars": "car"}
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                seed = hashlib.sha256(self.synonyms.get(word, word).encode()).digest()[:4]
                vectors[row] += np.random.default_rng(int.from_bytes(seed, "big")).normal(size=self.dimension)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> WordEmbedder:
    embedder = WordEmbedder()
    monkeypatch.setattr(embedding, "load_embedder", lambda _: embedder)
    return embedder


@pytest.fixture
def lexical(dsn: str) -> Iterator[PostgresStore]:
    with PostgresStore(dsn, embedder="none") as store:
        store.create_namespace("n")
        yield store


@pytest.fixture
def store(lexical: PostgresStore, dsn: str, embedder: WordEmbedder) -> Iterator[PostgresStore]:
    with PostgresStore(dsn, embedder="words") as store:
        yield store


def put(store: PostgresStore, *contents: str, type: str = "guideline", **metadata: str) -> None:
    store.commit(
        "n", [Put(id=content, type=type, content=content, metadata=metadata) for content in contents]
    )


def found(store: PostgresStore, query: str, **options: object) -> list[str]:
    return [hit.entity.content for hit in store.search("n", query, **options)]  # type: ignore[arg-type]


def ranked(store: PostgresStore, query: str) -> list[tuple[str, object]]:
    """What is found with its score; single precision computes cosines a little differently here and there."""
    return [(hit.entity.id, pytest.approx(hit.score, abs=1e-5)) for hit in store.search("n", query)]


def test_a_sentence_finds_what_shares_some_of_its_words(lexical: PostgresStore) -> None:
    put(lexical, "Retry a 429 after its Retry-After.", "Sort the rows by date.", "Close the file.")
    hits = lexical.search("n", "What should I do when the retries end in a 429 error?")
    assert [hit.entity.content for hit in hits] == ["Retry a 429 after its Retry-After."]
    assert hits[0].lexical is not None
    assert hits[0].dense is None


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("call get_user_name first", "user name"),
        ("call getUserName first", "user"),
        ("edit /etc/hosts.conf at once", "hosts"),
        ("write to ann@example.org", "example"),
        ("versions 3.11 and v2-beta", "beta"),
        ("ÄRGER mit Umlauten", "ärger"),
        ("メモリを解放する", "解放"),
        ("the who", "The Who"),
        ("a NUL \0 inside", "inside"),
    ],
)
def test_words_are_found_wherever_they_stand(lexical: PostgresStore, content: str, query: str) -> None:
    put(lexical, "nothing of the sort")
    lexical.commit("n", [Put(id="e", type="t", content=content)])
    assert content in found(lexical, query)


@pytest.mark.parametrize(
    "query", ["", "   ", "'", '"', "a & | ! <-> :*", "-", "or", "\0", "%s %(x)s {}", "x" * 10_000, "é" * 600]
)
def test_any_query_is_a_query(store: PostgresStore, query: str) -> None:
    put(store, "something to find")
    assert isinstance(store.search("n", query), list)


def test_the_trigger_and_the_task_of_a_tip_are_searched(lexical: PostgresStore) -> None:
    put(lexical, "Look twice.", trigger="a rounded price")
    assert found(lexical, "price rounding") == ["Look twice."]


def test_meanings_are_found_without_a_shared_word(store: PostgresStore, embedder: WordEmbedder) -> None:
    put(store, "the automobile", "a banana", "seven ships")
    first, *_ = store.search("n", "cars")
    assert (first.entity.content, first.lexical) == ("the automobile", None)
    assert first.dense is not None
    expected = (embedder.embed(["cars"]) @ embedder.embed(["the automobile"]).T).item()
    assert first.dense == pytest.approx(expected, abs=1e-6)


def test_each_hit_tells_both_of_its_scores(store: PostgresStore) -> None:
    put(store, "red car", "red bus", "green")
    hits = {hit.entity.content: hit for hit in store.search("n", "red car")}
    assert all(hit.dense is not None for hit in hits.values())
    assert [content for content, hit in hits.items() if hit.lexical is None] == ["green"]
    assert next(iter(hits)) == "red car"


def test_types_and_fields_are_selected_before_ranking(store: PostgresStore) -> None:
    put(store, *(f"car {number}" for number in range(120)), status="active")
    put(store, "one old bus", type="trajectory", status="retired")
    assert found(store, "car", where={"status": "retired"}) == ["one old bus"]
    assert found(store, "car", type="trajectory") == ["one old bus"]
    assert found(store, "car", type="trajectory", where={"status": "active"}) == []


def test_what_changed_is_found_as_it_is_now(store: PostgresStore, embedder: WordEmbedder) -> None:
    store.commit("n", [Put(id="a", type="t", content="ships"), Put(id="b", type="t", content="trees")])
    assert found(store, "ships")[0] == "ships"
    embedder.embedded = 0
    store.commit("n", [Put(id="a", type="t", content="clouds"), Delete(id="b")])
    assert found(store, "ships") == ["clouds"]
    assert embedder.embedded == 2  # the query and what changed
    assert store.search("n", "ships")[0].lexical is None


def test_a_search_in_an_empty_or_absent_namespace(store: PostgresStore) -> None:
    assert store.search("n", "car") == []
    with pytest.raises(NotFoundError, match="absent"):
        store.search("absent", "car")
    with pytest.raises(NotFoundError, match="absent"):
        store.reindex("absent")


def test_an_embedder_that_fails_leaves_the_words(
    store: PostgresStore, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = embedder.embed

    def fail_from(call: int) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        calls = itertools.count(1)

        def fail(texts: Sequence[str]) -> NDArray[np.float32]:
            if next(calls) >= call:
                raise StoreError("the model is out")
            return embed(texts)

        return fail

    for call in (1, 2):  # the query is embedded first, then what is searched
        monkeypatch.setattr(embedder, "embed", fail_from(call))
        put(store, f"red car {call}")
        assert f"red car {call}" in found(store, "car")


def test_reindexing_embeds_all_for_the_model_of_today(store: PostgresStore, embedder: WordEmbedder) -> None:
    put(store, *(f"car {number}" for number in range(300)))
    steps: list[tuple[int, int]] = []
    assert store.reindex("n", progress=lambda done, total: steps.append((done, total))) == 300
    assert steps == [(256, 300), (300, 300)]
    assert store.reindex("n") == 0
    embedder.model, embedder.dimension = "other", 32
    assert store.search("n", "car 7")[0].entity.content == "car 7"
    assert store.reindex("n") == 0
    embedder.embedded = 0
    embedder.model, embedder.dimension = "words", 64
    assert store.reindex("n") == 300


def test_hnsw_and_exact_give_the_same(
    store: PostgresStore, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, *(f"tip {number} of part {number % 7}" for number in range(150)))
    store.reindex("n")
    assert not has_index(admin), "150 are compared faster than found by an index"
    queries = ["tip 17", "part 3 tip 100", "cars"]
    exact = [ranked(store, query) for query in queries]
    monkeypatch.setattr(postgres_vectors, "FEW", 5)
    store.reindex("n")
    assert has_index(admin)
    assert store.vector_search == "hnsw"
    plans: list[str] = []
    by_index = postgres_vectors._by_index
    monkeypatch.setattr(postgres_vectors, "_by_index", lambda *args: plans.append("index") or by_index(*args))
    assert [ranked(store, query) for query in queries] == exact
    assert plans == ["index"] * 3

    monkeypatch.setattr(postgres_vectors, "find_extension", lambda _: None)
    assert [ranked(store, query) for query in queries] == exact


def test_pgvector_that_comes_later_is_used_after_reindexing(
    dsn: str, admin: psycopg.Connection, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.execute("DROP EXTENSION IF EXISTS vector CASCADE")
    with PostgresStore(dsn, embedder="words") as store, monkeypatch.context() as without_rights:
        without_rights.setattr(postgres_vectors, "_make_extension", lambda _: None)
        without_rights.setattr(postgres_search, "may_have_extension", postgres_vectors.find_extension)
        store.create_namespace("n")
        put(store, "the automobile", "a banana")
        before = store.search("n", "cars")
        assert before[0].entity.content == "the automobile"
        assert store.vector_search == "exact"
        without_rights.undo()
        monkeypatch.setattr(postgres_vectors, "FEW", 1)
        store.reindex("n")
        assert store.vector_search == "hnsw"
        assert store.search("n", "cars") == before
    assert has_index(admin)


def test_searches_make_the_index_once_it_is_worth_it(
    store: PostgresStore, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_vectors, "FEW", 3)
    put(store, "the automobile", "a banana", "tip 1")
    store.search("n", "cars")
    assert not has_index(admin)
    put(store, "tip 2")
    before = ranked(store, "cars")
    assert has_index(admin)
    assert ranked(store, "cars") == before


def test_what_is_written_in_bulk_is_known_to_the_planner_at_once(
    store: PostgresStore, admin: psycopg.Connection
) -> None:
    """Autovacuum may come first, which is as good."""
    admin.execute("TRUNCATE kaizen.states, kaizen.entities")
    put(store, *(f"tip {number}" for number in range(600)))
    estimated = admin.execute("EXPLAIN SELECT FROM kaizen.entities").fetchone()
    assert estimated is not None
    rows = int(re.findall(r"rows=(\d+)", estimated[0])[0])
    assert rows == 600


def test_of_many_texts_only_those_with_the_rarest_words_are_ranked(
    lexical: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(
        lexical,
        *(f"common {number}" for number in range(8)),
        "common rare",
        "common seldom",
        "common seldom 2",
    )
    assert len(found(lexical, "common rare seldom", limit=50)) == 11
    monkeypatch.setattr(postgres_search, "MAX_RANKED", 3)
    assert sorted(found(lexical, "common rare seldom", limit=50)) == [
        "common rare",
        "common seldom",
        "common seldom 2",
    ]
    assert len(found(lexical, "common", limit=50)) == 11, "the rarest word that there is counts in any case"
    assert found(lexical, "absent words", limit=50) == []


def has_index(admin: psycopg.Connection) -> bool:
    found = admin.execute(
        "SELECT indexdef FROM kaizen.models JOIN pg_indexes ON indexname = 'vectors_of_model_' || model"
    )
    return "hnsw" in str(found.fetchone())
