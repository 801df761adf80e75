"""What the tests of kaizen-sync share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.demo.model_server import ModelServer, Scenarios
from tests.support.syncing import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn, as `open_data_dir` takes it."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").url)
    return str(request.param)


@pytest.fixture
def scripted(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The scripted model, as the model that the OpenAI variables name."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    return model_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A scripted model of the test's own, which knows no scenario yet."""
    with ModelServer(scenarios=Scenarios()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        yield server
