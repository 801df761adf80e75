"""A collector for every test, and agents that send to it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.auto.collector import Collector
from tests.auto.process import OPENAI, TRACING, WarmPython, run_python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer


collect_ignore = [] if importlib.util.find_spec("logfire") else ["test_tracers.py"]


class RunAgent(Protocol):
    """Run Python source in a process of its own; `cold` in one that has imported nothing yet."""

    def __call__(
        self,
        source: str,
        *,
        enabled: bool = True,
        cold: bool = False,
        fresh: tuple[str, ...] = ("openai",),
        teardown: bool = False,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    with WarmPython(*OPENAI, *TRACING) as python:
        yield python


@pytest.fixture
def run_agent(
    collector: Collector, model_server: ModelServer, tmp_path: Path, request: pytest.FixtureRequest
) -> RunAgent:
    def run(
        source: str,
        *,
        cold: bool = False,
        fresh: tuple[str, ...] = ("openai",),
        teardown: bool = False,
        **settings: Any,
    ) -> subprocess.CompletedProcess[str]:
        given: dict[str, Any] = {
            "folder": tmp_path,
            "collector_url": collector.url,
            "model_url": model_server.base_url,
            **settings,
        }
        if cold:
            return run_python(source, **given)
        python: WarmPython = request.getfixturevalue("warm_python")
        return python.run(source, fresh=fresh, teardown=teardown, **given)

    return run
