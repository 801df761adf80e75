"""How alike texts are, and which of many are the most alike."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from kaizen.store import Embedder, load_embedder
from kaizen.sync.knowledge.similarity import SimilarityIndex
from kaizen.tips.text import names, word_stems

RETRY = "Retry failed payments twice before reporting."
RETRY_OTHERWISE = "Attempt a payment again if it did not go through."
STRANGER = "Translate city names into English."


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    loaded = load_embedder("wordllama")
    assert loaded is not None
    return loaded


class CountingEmbedder:
    """Counts the texts that it embeds."""

    model = "counting"
    dimension = 2

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: list[str]) -> np.ndarray:
        self.embedded += texts
        return np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(texts), 1))


def test_the_words_that_tell_are_compared_without_their_endings() -> None:
    assert word_stems("It retries the failing payments") == word_stems("Retry a failed payment.")
    assert word_stems("cancelled, cancelling") == word_stems("cancel")
    assert word_stems("the of and to") == frozenset()


def test_names_are_compared_as_they_are_spelled() -> None:
    assert names("Call apis.shop.show_orders() and read `releaseDate`.") == {"show_orders", "releaseDate"}
    assert word_stems("show_orders()") == word_stems("apis.shop.show_orders") == {"show_orders"}
    assert not word_stems("show_order()") & word_stems("show_orders()")


def test_a_text_is_most_like_itself_and_least_like_a_stranger(embedder: Embedder) -> None:
    index = SimilarityIndex(embedder)
    index.put({"same": RETRY, "otherwise": RETRY_OTHERWISE, "stranger": STRANGER})

    found = index.nearest(RETRY, limit=3, least=-1.0)

    assert [near.key for near in found] == ["same", "otherwise", "stranger"]
    assert found[0].similarity == pytest.approx(1.0)
    assert found[2].similarity < 0.2


def test_what_is_said_in_other_words_is_alike_by_its_meaning(embedder: Embedder) -> None:
    by_words, by_both = SimilarityIndex(), SimilarityIndex(embedder)
    for index in (by_words, by_both):
        index.put({"a": "Ask the customer to confirm.", "b": "Have the client verify it.", "c": STRANGER})

    assert by_words.similarity("a", "b") == by_words.similarity("a", "c") == 0
    assert by_both.similarity("a", "b") > by_both.similarity("a", "c") + 0.05


def test_likeness_is_the_same_both_ways_and_however_it_is_asked(embedder: Embedder) -> None:
    index = SimilarityIndex(embedder)
    index.put({"a": RETRY, "b": RETRY_OTHERWISE})

    [found] = [near for near in index.nearest(RETRY, limit=2, least=-1.0) if near.key == "b"]
    assert index.similarity("a", "b") == pytest.approx(index.similarity("b", "a"))
    assert index.similarity("a", "b") == pytest.approx(found.similarity, abs=1e-5)


def test_no_more_are_found_than_wanted_and_none_that_is_less_alike() -> None:
    index = SimilarityIndex()
    index.put({f"k{n}": f"Retry failed payments {'at night ' * (n % 2)}before reporting." for n in range(8)})

    assert [near.key for near in index.nearest(RETRY, limit=3, least=0.5)] == ["k0", "k2", "k4"]
    assert index.nearest(RETRY, limit=99, least=1.01) == []
    assert index.nearest(STRANGER, limit=99, least=0.1) == []


def test_each_text_is_embedded_once_until_it_changes() -> None:
    embedder = CountingEmbedder()
    index = SimilarityIndex(embedder)
    index.hold({"a": RETRY, "b": STRANGER})
    index.hold({"a": RETRY, "b": STRANGER})
    assert embedder.embedded == [RETRY, STRANGER]

    index.hold({"a": RETRY_OTHERWISE, "c": STRANGER})

    assert embedder.embedded == [RETRY, STRANGER, RETRY_OTHERWISE, STRANGER]
    assert len(index) == 2
    assert {near.key for near in index.nearest(RETRY, limit=9, least=-1.0)} == {"a", "c"}


def test_an_index_that_was_changed_is_as_one_made_anew(embedder: Embedder) -> None:
    words = ("retry", "payment", "order", "refund", "city", "translate", "page", "token")
    chance = random.Random(7)
    texts: dict[str, str] = {}
    changed = SimilarityIndex(embedder)
    for _ in range(60):
        key = f"k{chance.randrange(12)}"
        if chance.random() < 0.4:
            texts.pop(key, None)
        else:
            texts[key] = " ".join(chance.sample(words, 4))
        changed.hold(texts)

    anew = SimilarityIndex(embedder)
    anew.put(texts)

    def found(index: SimilarityIndex) -> dict[str, float]:
        matches = index.nearest("retry a payment", limit=99, least=-1)
        return {match.key: round(match.similarity, 4) for match in matches}

    assert found(changed) == found(anew)
    assert set(found(anew)) == set(texts)


class RandomEmbedder:
    """Vectors that mean nothing, of the size of true ones, and quick to get."""

    model = "random"
    dimension = 256

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)

    def embed(self, texts: list[str]) -> np.ndarray:
        return self._random.standard_normal((len(texts), self.dimension), dtype=np.float32)


def test_five_thousand_texts_are_searched_in_milliseconds() -> None:
    chance = random.Random(3)
    words = [f"{one}{other}" for one in ("pay", "book", "ship", "list") for other in "abcdefghijklmnopqrst"]
    index = SimilarityIndex(RandomEmbedder())
    index.put({f"k{n}": " ".join(chance.choices(words, k=25)) for n in range(5_000)})

    taken = []
    for _ in range(20):
        text = " ".join(chance.choices(words, k=25))
        started = time.process_time()
        index.nearest(text, limit=5, least=0.9)
        taken.append(time.process_time() - started)

    # About 2 ms where nothing else runs.
    assert min(taken) < 0.02
