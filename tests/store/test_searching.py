"""Searching by meaning: what is embedded, when, by which model, and what happens when the embedder fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaizen.store import Put, Reindexable, Store, StoreSettings, UnavailableError, open_store
from kaizen.store import embedders as embedding_module
from kaizen.store.backends.sqlite.store import SqliteStore

N = "n"
MEANINGS = {"car": 0, "automobile": 0, "cat": 1, "feline": 1, "rain": 2, "drizzle": 2}


@dataclass
class Fake:
    """Knows six words and three meanings, and counts what it embeds."""

    model: str = "fake/1"
    dimension: int = 3
    embedded: list[str] = field(default_factory=list)
    fails: bool = False

    def embed(self, texts: Sequence[str]) -> Any:
        if self.fails:
            raise UnavailableError("the embedder is down")
        self.embedded += texts
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                if word in MEANINGS:
                    vectors[row, MEANINGS[word]] = 1
        return vectors


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    monkeypatch.setattr(embedding_module, "load_embedder", lambda _: fake)
    return fake


@pytest.fixture(params=["filesystem", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    return lambda: open_store(StoreSettings(backend=request.param, data_dir=tmp_path, embedder="fake"))


@pytest.fixture
def store(reopen: Callable[[], Store], fake: Fake) -> Iterator[Store]:
    with reopen() as store:
        store.create_namespace(N)
        store.commit(N, [Put(id=word, type="t", content=word) for word in ("car", "cat", "rain")])
        yield store


def best(store: Store, query: str, **options: Any) -> str:
    return store.search(N, query, **options)[0].entity.id


def test_other_words_of_the_same_meaning_are_found(store: Store) -> None:
    hit = store.search(N, "drizzle")[0]
    assert (hit.entity.id, hit.lexical, round(hit.dense or 0, 6)) == ("rain", None, 1.0)
    assert best(store, "feline", where={"x": None}) == "cat"


def test_each_text_is_embedded_once_and_when_it_is_searched(
    store: Store, reopen: Callable[[], Store], fake: Fake
) -> None:
    assert fake.embedded == []
    best(store, "feline")
    best(store, "automobile")
    store.close()
    with reopen() as again:
        best(again, "automobile")
        again.commit(N, [Put(id="car", type="t", content="drizzle")])
        assert best(again, "rain", limit=1) == "rain"
        assert {hit.entity.id for hit in again.search(N, "rain", limit=2)} == {"rain", "car"}
        assert again.search(N, "automobile")[0].dense == 0
    texts = [text for text in fake.embedded if text not in ("feline", "automobile", "rain") or text == "rain"]
    assert sorted(texts) == ["car", "cat", "drizzle", "rain", "rain", "rain"]


def test_another_model_embeds_anew_and_is_never_compared_with_the_first(
    store: Store, reopen: Callable[[], Store], fake: Fake
) -> None:
    best(store, "feline")
    store.close()
    fake.model, fake.dimension = "fake/2", 5
    with reopen() as again:
        assert best(again, "feline") == "cat"
        assert fake.embedded.count("cat") == 2


def test_reindexing_embeds_all_and_forgets_other_models(
    store: Store, reopen: Callable[[], Store], fake: Fake
) -> None:
    assert isinstance(store, Reindexable)
    seen: list[tuple[int, int]] = []
    assert store.reindex(N, progress=lambda done, total: seen.append((done, total))) == 3
    assert seen == [(3, 3)]
    assert store.reindex(N) == 0
    fake.model = "fake/2"
    store.close()
    with reopen() as again:
        assert isinstance(again, Reindexable)
        assert again.reindex(N) == 3
    fake.model = "fake/1"
    with reopen() as back:
        assert isinstance(back, Reindexable)
        assert back.reindex(N) == 3


@pytest.mark.parametrize("fails_from", ["start", "later"])
def test_an_embedder_that_fails_leaves_the_words(
    store: Store, fake: Fake, caplog: pytest.LogCaptureFixture, fails_from: str
) -> None:
    if fails_from == "later":
        best(store, "feline")
    fake.fails = True
    store.commit(N, [Put(id="late", type="t", content="a late car")])
    with caplog.at_level(logging.WARNING, "kaizen.store"):
        hits = store.search(N, "car")
    assert {hit.entity.id for hit in hits} == {"car", "late"}
    assert "by words only: the embedder is down" in caplog.text
    fake.fails = False
    assert {hit.entity.id for hit in store.search(N, "automobile", limit=2)} == {"car", "late"}


def test_what_has_no_meaning_is_near_to_nothing(store: Store, fake: Fake) -> None:
    store.commit(N, [Put(id="empty", type="t", content=""), Put(id="name", type="t", content="xyzzy")])
    assert store.search(N, "") == []
    assert store.search(N, "plugh") == []
    assert [(hit.entity.id, hit.dense) for hit in store.search(N, "xyzzy")] == [("name", None)]
    assert {hit.entity.id for hit in store.search(N, "feline")} == {"car", "cat", "rain"}
    best(store, "feline")
    assert fake.embedded.count("xyzzy") == 2  # the text and the query, each once


def test_a_search_embeds_no_more_than_it_may(
    store: Store, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.store.backends.sqlite.search.MAX_EMBEDDED_BY_SEARCH", 2)
    assert {hit.entity.id for hit in store.search(N, "drizzle")} == {"car", "cat"}
    assert best(store, "drizzle") == "rain"


def test_where_there_is_nothing_to_find_nothing_is_embedded(reopen: Callable[[], Store], fake: Fake) -> None:
    with reopen() as store:
        store.create_namespace("empty")
        assert store.search("empty", "car") == []
    assert fake.embedded == []


def test_vectors_of_deleted_namespaces_leave_the_memory(tmp_path: Path, fake: Fake) -> None:
    with SqliteStore(tmp_path / "kaizen.db", embedder="fake") as store:
        for name in ("one", "two", "three"):
            store.create_namespace(name)
            store.commit(name, [Put(type="t", content="car")])
            assert len(store.search(name, "car")) == 1
            assert len(store._searching()._matrices) == 1
            store.delete_namespace(name)


def test_what_is_in_very_many_texts_is_not_ranked_where_rarer_words_are_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.store.backends.sqlite.search.MAX_RANKED", 20)
    common = [Put(id=f"c{number}", type="t", content="common words") for number in range(60)]
    store.commit(N, [*common, Put(id="rare", type="t", content="common words and one that is rare")])
    by_words = [hit.entity.id for hit in store.search(N, "rare common words", limit=5) if hit.lexical]
    assert by_words == ["rare"]
    assert len([hit for hit in store.search(N, "common words", limit=5) if hit.lexical]) == 5


def test_the_default_embedder_finds_by_meaning(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        store.create_namespace(N)
        tips = {
            "retry": "Wait before sending a request again when the server refuses it.",
            "page": "Fetch every page of a listing before counting.",
            "verify": "Look at the account's balance before transferring money.",
        }
        store.commit(N, [Put(id=name, type="guideline", content=text) for name, text in tips.items()])
        assert best(store, "check funds ahead of a payment") == "verify"
        assert embedding_module.load_embedder("none") is None


def test_a_word_that_is_in_no_text_does_not_hide_those_that_are_in_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.store.backends.sqlite.search.MAX_RANKED", 20)
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("n")
        store.commit("n", [Put(type="t", content=f"retry {n % 2 or 'payment'}") for n in range(60)])
        assert len(store.search("n", "payment xyzzy")) == 10
