"""A sync that is killed anywhere and run again leaves the store that an undisturbed one leaves."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kaizen.demo.model_server import ModelServer
from tests.support.slow import SYNC_KILL_ROUNDS as KILLS
from tests.support.spans import START, lesson_span, llm_span, send_spans
from tests.support.syncing import run_sync, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.phoenix_server import PhoenixServer

WORDS = ["alpha", "beta", "alpha", "gamma", "beta", "alpha"]


@pytest.fixture
def slow_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model that takes a moment, so that there is a moment to be killed in."""
    with ModelServer(delay_s=0.05) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        yield server


@pytest.fixture
def forked(
    phoenix: PhoenixServer, project: str, slow_model: ModelServer, repository: Path, backend: str
) -> Iterator[subprocess.Popen[str]]:
    """The process that forks a sync for every data directory it is told."""
    spans = [lesson_span(word, start=START + timedelta(minutes=i)) for i, word in enumerate(WORDS)]
    spans.append(llm_span([{"role": "user", "content": "nothing to learn"}], "no", start=START))
    told = [{"role": "user", "content": "What is LESSON-beta about?"}]
    spans.append(llm_span(told, "About that.", start=START + timedelta(minutes=7)))
    told += [
        {"role": "assistant", "content": "About that."},
        {"role": "user", "content": "And LESSON-delta?"},
    ]
    spans.append(llm_span(told, "The same.", start=START + timedelta(minutes=8)))
    send_spans(phoenix.url, project, spans)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked_sync", phoenix.url, project, backend],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def sync(forked: subprocess.Popen[str], data_dir: Path) -> int:
    """Start a sync into that directory, and return its process id."""
    assert forked.stdin is not None
    assert forked.stdout is not None
    forked.stdin.write(f"{data_dir}\n")
    forked.stdin.flush()
    started, pid = forked.stdout.readline().split()
    assert started == "started"
    return int(pid)


def ended(forked: subprocess.Popen[str]) -> int:
    assert forked.stdout is not None
    return int(forked.stdout.readline().split()[1])


@pytest.mark.timeout(600)
def test_killed_at_any_moment_and_run_again_the_store_is_that_of_an_undisturbed_run(
    forked: subprocess.Popen[str],
    slow_model: ModelServer,
    phoenix: PhoenixServer,
    project: str,
    tmp_path: Path,
    backend: str,
) -> None:
    started = time.monotonic()
    sync(forked, tmp_path / "undisturbed")
    assert ended(forked) == 0
    took_s = time.monotonic() - started
    expected = snapshot(tmp_path / "undisturbed", backend)
    kills = 0
    moments = random.Random(0)
    for round_ in range(KILLS):
        data_dir = tmp_path / f"killed-{round_}"
        # Spread over the whole run, before its first request and after its last commit included.
        delay_s = took_s * (round_ + moments.random()) / KILLS
        pid = sync(forked, data_dir)
        time.sleep(delay_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if ended(forked) == -signal.SIGKILL:
            kills += 1
        else:  # It had ended, so it takes less than this now that all is warm.
            took_s = min(took_s, delay_s)
        sync(forked, data_dir)
        assert ended(forked) == 0
        assert snapshot(data_dir, backend) == expected
    # On a busy machine a kill may find the sync at its end already; most must have hit.
    assert kills >= KILLS // 2
    slow_model.clear()
    run_sync(phoenix.url, project, tmp_path / "killed-0", backend=backend)
    assert slow_model.requests == []


def test_killed_in_the_middle_of_a_commit_the_next_sync_repairs_the_journal(
    phoenix: PhoenixServer, project: str, slow_model: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("torn")])
    run_sync(phoenix.url, project, tmp_path)
    expected = snapshot(tmp_path)
    (journal,) = tmp_path.rglob("*.jsonl")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-40])
    run_sync(phoenix.url, project, tmp_path)
    assert snapshot(tmp_path) == expected
