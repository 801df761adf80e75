"""`kaizen entities search` and `kaizen store reindex`: what fits a task, by words and by meaning."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from kaizen.store import Put, StoreSettings, open_store
from tests.support.command import kaizen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

N = "kaizen"


class AnimalEmbedder:
    """Knows one thing: what is about animals."""

    model = "animals"
    dimension = 2

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        rows = [(1, 0) if any(word in text for word in ("cat", "dog")) else (0, 1) for text in texts]
        return np.array(rows, dtype=np.float32)


@pytest.fixture(autouse=True)
def _tips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path / "data")) as store:
        store.create_namespace(N)
        store.commit(
            N,
            [
                Put(id="cat", type="guideline", content="Feed the cat.", metadata={"category": "strategy"}),
                Put(
                    id="order",
                    type="guideline",
                    content="Cancel an order.",
                    metadata={"category": "recovery"},
                ),
                Put(id="note", type="note", content="Orders are cancelled by hand."),
            ],
        )


@pytest.fixture
def _animals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaizen.store.embedders.load_embedder", lambda _: AnimalEmbedder())


def found(*arguments: str) -> list[str]:
    ended = kaizen("entities", "search", N, *arguments, "--json")
    assert ended.exit_code == 0, ended
    return [hit["entity"]["id"] for hit in ended.json["hits"]]


def test_a_task_in_plain_words_finds_what_shares_some_of_them() -> None:
    assert set(found("How do I cancel this order of mine?")) == {"order", "note"}
    assert found("cancel orders", "--type", "guideline") == ["order"]
    assert found("cancel orders", "--where", "category=strategy") == []
    assert len(found("cancel orders", "--limit", "1")) == 1


def test_the_table_says_how_much_words_and_meaning_count() -> None:
    head, row = kaizen("entities", "search", N, "cancel", "--type", "guideline").stdout.splitlines()
    assert head.split() == ["RANK", "WORDS", "MEANING", "ID", "TEXT"]
    rank, words, meaning, entity_id, text = row.split(maxsplit=4)
    assert (rank, words, meaning, entity_id, text) == ("1", "0.00", "-", "order", "Cancel an order.")


@pytest.mark.usefixtures("_animals")
def test_what_means_the_same_is_found_without_a_word_in_common() -> None:
    ended = kaizen("entities", "search", N, "walk the dog", "--json").json
    best = ended["hits"][0]
    assert (best["entity"]["id"], best["lexical"], best["dense"]) == ("cat", None, 1.0)
    assert "1.00" in kaizen("entities", "search", N, "walk the dog").stdout.splitlines()[1].split()


def test_nonsense_finds_nothing_and_a_task_finds_its_tip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_EMBEDDER", "wordllama")
    for nonsense in ("qwfpgj zxcvl", "trombone volcano"):
        assert found(nonsense) == []
    assert found("give a kitten its food", "--type", "guideline") == ["cat"]


def test_a_search_without_a_hit_says_so() -> None:
    ended = kaizen("entities", "search", N, "zebra")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "No entities here that fit.\n")


@pytest.mark.usefixtures("_animals")
@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
def test_reindexing_embeds_what_is_not_embedded_yet(backend: str) -> None:
    if backend == "filesystem":
        assert kaizen("store", "copy", "--from", "sqlite", "--to", "filesystem").exit_code == 0
    said = [kaizen("store", "reindex", N, "--backend", backend).stdout for _ in range(2)]
    assert said == ["Embedded 3 entities.\n", "Embedded 0 entities.\n"]


def test_a_backend_without_embeddings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "kaizen.cli.store.reindex.opened", lambda *_: nullcontext((SimpleNamespace(location="here"), N))
    )
    assert "keeps no embeddings" in kaizen("store", "reindex", N).error
