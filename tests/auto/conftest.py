"""Running agents as processes of their own, with a collector to send to and a model to call."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.auto.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.cli.demo.model_server import ModelServer


class RunAgent(Protocol):
    """Run Python source as a process and return how it ended, with stdout and stderr as text."""

    def __call__(
        self, source: str, *, enabled: bool = True, python: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def run_agent(collector: Collector, model_server: ModelServer, tmp_path: Path) -> RunAgent:
    def run(
        source: str, *, enabled: bool = True, python: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        agent = tmp_path / "agent.py"
        agent.write_text(textwrap.dedent(source))
        given = {
            "KAIZEN_AUTO_ENABLED": "true" if enabled else "",
            "KAIZEN_TRACING_ENDPOINT": collector.url,
            "OPENAI_BASE_URL": model_server.base_url,
            "OPENAI_API_KEY": "no-key",
            **environment,
        }
        return subprocess.run(
            [sys.executable, *python, str(agent)],
            env={**os.environ, **{name: value for name, value in given.items() if value}},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run
