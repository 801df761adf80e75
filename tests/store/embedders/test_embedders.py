"""The local embedders: offline, without side effects, and each vector of a text independent of the others."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kaizen.store import Embedder, InvalidInputError, StoreError, load_embedder
from kaizen.store.embedders.minilm import VOCABULARY
from kaizen.store.embedders.wordllama import WEIGHTS

PACKAGE = Path(
    (find_spec("wordllama") or pytest.fail("wordllama is not installed")).submodule_search_locations[0]
)  # type: ignore[index]


@pytest.fixture(scope="module", params=["wordllama", "minilm"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    embedder = load_embedder(request.param)
    assert embedder is not None
    return embedder


def test_like_meanings_are_nearer_than_unlike_ones(embedder: Embedder) -> None:
    asked, like, unlike = embedder.embed(
        ["How do I get my money back?", "Ask for a refund of the payment.", "The cat sleeps on the sofa."]
    )
    assert asked @ like > asked @ unlike + 0.1


def test_rows_have_length_one_and_empty_texts_none(embedder: Embedder) -> None:
    vectors = embedder.embed(["one", "", "two words and more \0 日本 😀", "x" * 4_000])

    assert (vectors.dtype, vectors.shape) == (np.float32, (4, embedder.dimension))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1], rtol=1e-5)
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_a_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    texts = [" ".join(["always read every page of the answer"] * count) for count in (60, 1, 9, 3, 20)]
    together = embedder.embed(texts)
    for row, text in enumerate(texts):
        assert float(together[row] @ embedder.embed([text])[0]) > 0.9999


@pytest.mark.parametrize("name", ["wordllama/other", "minilm/other", "unheard-of"])
def test_an_embedder_that_does_not_exist_is_told(name: str) -> None:
    with pytest.raises(InvalidInputError, match="KAIZEN_EMBEDDER"):
        load_embedder(name)


def test_no_embedder_is_none() -> None:
    assert load_embedder("none") is None


def test_the_default_embedder_leaves_logging_threads_and_heavy_packages_alone() -> None:
    code = (
        "import sys, logging, threading, kaizen.store.embedders as e\n"
        "e.load_embedder('wordllama').embed(['words'])\n"
        "assert not logging.getLogger().handlers and threading.active_count() == 1\n"
        "heavy = {'wordllama', 'onnxruntime', 'requests', 'pydantic', 'huggingface_hub', 'safetensors'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180)


def test_damaged_vectors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "wordllama"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / WEIGHTS).write_bytes(b"no safetensors")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(StoreError, match="reinstall wordllama"):
        load_embedder("wordllama")


def test_the_files_are_those_that_the_models_names_stand_for() -> None:
    """Where one of these differs, vectors do too: change `WordLlama.model`."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (PACKAGE / WEIGHTS, VOCABULARY)]
    assert digests == ["64b47a2dc493cb8e", "07eced375cec144d"]
