"""A collector for every test, and agents that send to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.auto.collector import Collector
from tests.auto.process import run_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.cli.demo.model_server import ModelServer


class RunAgent(Protocol):
    """Run Python source in a process of its own."""

    def __call__(
        self, source: str, *, enabled: bool = True, python: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def run_agent(collector: Collector, model_server: ModelServer, tmp_path: Path) -> RunAgent:
    def run(source: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        return run_python(
            source,
            **{
                "folder": tmp_path,
                "collector_url": collector.url,
                "model_url": model_server.base_url,
                **settings,
            },
        )

    return run
