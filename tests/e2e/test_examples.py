"""The examples as files, and one without tracing; test_e2e_pipeline.py runs all of them traced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kaizen.demo.model_server import ModelServer

EXAMPLES = ("litellm_demo", "openai_agents_demo", "simple_openai", "smolagents_demo")


def _run(example: Path, server: ModelServer) -> subprocess.CompletedProcess[str]:
    model = {"OPENAI_API_KEY": "scripted", "OPENAI_BASE_URL": server.base_url}
    return subprocess.run(
        [sys.executable, example],
        env={**os.environ, **model, "KAIZEN_TIPS_MODEL": "openai/gpt-4.1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_every_example_is_tried(repository: Path) -> None:
    assert {path.stem for path in (repository / "examples/low_code").glob("*.py")} == set(EXAMPLES)


def test_an_example_runs_untraced_and_uses_the_tips_model_when_it_has_none_of_its_own(
    repository: Path, model_server: ModelServer
) -> None:
    ended = _run(repository / "examples/low_code/simple_openai.py", model_server)
    assert ended.returncode == 0, ended.stderr
    assert {request.body["model"] for request in model_server.requests} == {"gpt-4.1"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_starts_with_the_promised_import(name: str, repository: Path) -> None:
    text = (repository / "examples/low_code" / f"{name}.py").read_text()
    assert len(text.splitlines()) < 60
    code = text.split('"""', 2)[2].lstrip()
    assert code.startswith("try:\n    import kaizen.auto  # noqa: F401\nexcept ImportError:\n    pass\n")


def test_the_command_carries_the_same_examples(repository: Path) -> None:
    carried = repository / "packages/kaizen-demo/src/kaizen/demo/examples"
    assert carried.is_symlink()
    assert not Path(os.readlink(carried)).is_absolute()
    assert carried.resolve() == (repository / "examples/low_code").resolve()
