"""The embedder of a provider, over real HTTP, and all the ways in which that goes wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kaizen.demo.model_server import Fault, ModelServer
from kaizen.store import Embedder, InvalidInputError, StoreError, UnavailableError, load_embedder
from kaizen.sync.llm.embedding import BATCH, load

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "litellm/text-embedding-3-small"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-known-form")
        monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda _: None))
        yield server


@pytest.fixture
def embedder(server: ModelServer) -> Embedder:
    embedder = load_embedder(NAME)
    assert embedder is not None
    return embedder


def test_the_store_finds_it_by_its_name_and_vectors_have_length_one(embedder: Embedder) -> None:
    vectors = embedder.embed(["pay the bill", "pay the bill", "unrelated words"])

    assert embedder.model == NAME
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_many_texts_go_in_batches_and_come_back_in_order(server: ModelServer, embedder: Embedder) -> None:
    texts = [f"text number {number}" for number in range(BATCH + 3)]

    together = embedder.embed(texts)

    assert [len(request.body["input"]) for request in server.requests] == [BATCH, 3]
    np.testing.assert_allclose(together[-1], embedder.embed(texts[-1:])[0], rtol=1e-6)


def test_blank_texts_are_not_sent_and_have_no_direction(server: ModelServer, embedder: Embedder) -> None:
    vectors = embedder.embed(["", "words", " \n"])

    assert server.requests[0].body["input"] == ["words"]
    assert np.linalg.norm(vectors, axis=1).round(6).tolist() == [0, 1, 0]
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_the_dimension_is_asked_for_once(server: ModelServer, embedder: Embedder) -> None:
    assert embedder.dimension == embedder.dimension == 256
    assert len(server.requests) == 1


def test_secrets_do_not_leave(server: ModelServer, embedder: Embedder) -> None:
    secret = "sk-proj-" + "a1B2c3D4e5" * 4

    embedder.embed([f"log in with {secret}"])

    assert secret not in server.requests[0].body["input"][0]


@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_is_tried_again(server: ModelServer, embedder: Embedder, status: int) -> None:
    server.fail(Fault(kind="status", status=status), times=3)

    assert embedder.embed(["one", "two"]).any()
    assert len(server.requests) == 4


def test_a_search_does_not_wait_long_for_one_text(server: ModelServer, embedder: Embedder) -> None:
    server.fail(Fault(kind="status", status=503), times=None)

    with pytest.raises(UnavailableError, match=r"litellm/text-embedding-3-small.* failed"):
        embedder.embed(["one"])
    assert len(server.requests) == 2


def test_a_refused_key_is_told_at_once_and_without_the_key(server: ModelServer, embedder: Embedder) -> None:
    body = {"error": {"message": "Incorrect API key provided: a-key-of-no-known-form"}}
    server.fail(Fault(kind="status", status=401, body=body), times=None)

    with pytest.raises(InvalidInputError, match="OPENAI_API_KEY") as caught:
        embedder.embed(["one", "two"])
    assert "a-key-of-no-known-form" not in str(caught.value)
    assert len(server.requests) == 1


def test_an_unknown_provider_is_told(server: ModelServer) -> None:
    with pytest.raises(InvalidInputError, match="KAIZEN_EMBEDDER"):
        load("no-provider-has-this").embed(["one"])
    assert server.requests == []


def test_an_answer_without_all_vectors_is_an_error(server: ModelServer, embedder: Embedder) -> None:
    one = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
    body = {"object": "list", "model": "m", "data": [one], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    server.fail(Fault(kind="status", status=200, body=body))

    with pytest.raises(StoreError, match="answered 2 texts with 1 vectors"):
        embedder.embed(["one", "two"])


def test_a_model_that_changes_its_dimension_is_an_error(server: ModelServer, embedder: Embedder) -> None:
    assert embedder.dimension == 256
    one = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
    body = {"object": "list", "model": "m", "data": [one], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    server.fail(Fault(kind="status", status=200, body=body))

    with pytest.raises(StoreError, match="256 before"):
        embedder.embed(["one"])


def test_a_model_must_be_named() -> None:
    with pytest.raises(InvalidInputError, match="litellm/text-embedding-3-small"):
        load_embedder("litellm")
