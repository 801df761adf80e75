"""`kaizen demo` as a user runs it: the whole loop on screen, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kaizen.demo.loop import AGENTS
from tests.support.polling import wait_until
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

# Read when the module is imported: every test gets a cleared environment. CI sets it; `make test` tries the
# same agents in test_e2e_pipeline.py.
WHOLE = pytest.mark.skipif(
    not SLOW,
    reason="the whole demo runs with KAIZEN_TEST_SLOW=true, as CI sets it",
)


def start_demo(phoenix: Path, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "kaizen.cli", "demo", "--phoenix", str(phoenix), *options],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def users_of(directory: Path) -> list[str]:
    """Command lines of processes whose environment or arguments name the directory."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environ = file.read()
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read()
        except OSError:
            continue
        if str(directory).encode() in environ + command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


@WHOLE
def test_the_demo_runs_the_whole_loop_and_leaves_nothing_behind(
    phoenix_executable: Path, tmp_path: Path
) -> None:
    with start_demo(phoenix_executable, tmp_path) as process:
        said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "SCRIPTED model answers the agents" in said
    assert "without a model" in said
    assert said.count(", 0 model calls") == len(AGENTS)
    for agent in AGENTS:
        assert agent.framework in said
        assert f"--project {agent.project}" in said
    tips, _, whole = said.partition("kaizen tips show ")
    assert tips.count("  recovery  ") >= len(AGENTS)
    assert "\nquote  " in whole
    assert "\nproject  " in whole
    # The mistake of the first run is gone from the second, since the request told the model better.
    assert said.count("      given: ") == len(AGENTS)
    assert said.count("refused calls of tools: 1 before, 0 now") == len(AGENTS)
    assert all(f"model calls: {calls} before, {calls - 1} now" in said for calls in (4, 5))
    assert "Traceback" not in said
    assert list((tmp_path / "scratch").iterdir()) == []
    assert users_of(tmp_path / "scratch") == []


@WHOLE
def test_a_demo_interrupted_while_agents_run_stops_everything_it_started(
    phoenix_executable: Path, tmp_path: Path
) -> None:
    with start_demo(phoenix_executable, tmp_path) as process:
        assert process.stdout is not None
        while "Running four agents" not in process.stdout.readline():
            assert process.poll() is None
        interrupted(process, signal.SIGINT, tmp_path / "scratch")


def test_a_demo_terminated_while_phoenix_starts_stops_it(phoenix_executable: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with start_demo(phoenix_executable, tmp_path) as process:
        wait_until(lambda: list(scratch.glob("*/phoenix/*")), what="Phoenix started")
        interrupted(process, signal.SIGTERM, scratch)


def interrupted(process: subprocess.Popen[str], number: signal.Signals, scratch: Path) -> None:
    process.send_signal(number)
    said, _ = process.communicate(timeout=180)
    assert process.returncode not in (0, None)
    assert "Traceback" not in said
    wait_until(lambda: not users_of(scratch), what="no process left")
    assert list(scratch.iterdir()) == []


def test_a_demo_whose_phoenix_dies_says_so_and_cleans_up(tmp_path: Path) -> None:
    broken = tmp_path / "phoenix"
    broken.write_text("#!/bin/sh\necho no database for you >&2\nexit 3\n")
    broken.chmod(0o755)
    with start_demo(broken, tmp_path) as process:
        said, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "Error: " in said
    assert "no database for you" in said
    assert "Traceback" not in said
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--phoenix", "nowhere/phoenix"], "pip install arize-phoenix"),
        (["--agent-python", "nowhere/python"], "nowhere/python"),
    ],
)
def test_a_demo_without_its_parts_says_how_to_get_them(
    options: list[str], words: str, phoenix_executable: Path, tmp_path: Path
) -> None:
    with start_demo(phoenix_executable, tmp_path, *options) as process:
        said, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert said.startswith("Error: ")
    assert words in said
