"""What the tests of kaizen-sync share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.syncing import BACKENDS

if TYPE_CHECKING:
    from kaizen.cli.demo.model_server import ModelServer


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
