"""The examples, each run as a process of its own against the scripted model, without tracing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kaizen.cli.demo.model_server import ModelServer

# what goes wrong in each, and the end that shows that it was put right
EXAMPLES = {
    "simple_openai": ("date must look like 05JAN26", "The booking code is K7QX2."),
    "litellm_demo": ("read until a page is empty", "its receipt is F-88."),
    "smolagents_demo": ("is over the limit of 70 kg", "to Porto costs 22.00 EUR."),
    "openai_agents_demo": ("call drain_service before a restart", "it is healthy again"),
}


def _run(example: Path, server: ModelServer, **environ: str) -> subprocess.CompletedProcess[str]:
    model = {"OPENAI_API_KEY": "scripted", "OPENAI_BASE_URL": server.base_url}
    return subprocess.run(
        [sys.executable, example],
        env={**os.environ, **model, "KAIZEN_TIPS_MODEL": "openai/gpt-4.1", **environ},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_every_example_is_tried(repository: Path) -> None:
    assert {path.stem for path in (repository / "examples/low_code").glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_goes_wrong_recovers_and_ends_well(
    name: str, repository: Path, model_server: ModelServer
) -> None:
    example = repository / "examples/low_code" / f"{name}.py"
    ended = _run(example, model_server, KAIZEN_EXAMPLE_AGENT_MODEL="openai/gpt-4o")
    assert ended.returncode == 0, ended.stderr
    error, end = EXAMPLES[name]
    assert end in " ".join(ended.stdout.splitlines()[-2:])
    asked = [str(request.body) for request in model_server.requests]
    first = next(number for number, body in enumerate(asked) if error in body)
    assert 0 < first < len(asked) - 1, "the error is told to the model, which then goes on"
    assert {request.body["model"] for request in model_server.requests} == {"gpt-4o"}


def test_an_example_uses_the_tips_model_when_it_has_none_of_its_own(
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
    carried = repository / "packages/kaizen-cli/src/kaizen/cli/demo/examples"
    assert carried.is_symlink()
    assert not Path(os.readlink(carried)).is_absolute()
    assert carried.resolve() == (repository / "examples/low_code").resolve()
