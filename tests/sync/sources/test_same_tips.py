"""The same runs teach the same tips, in whichever of seven shapes they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, PhoenixSettings, PhoenixSource, Sync, SyncSettings
from kaizen.sync.sources.claude_code.settings import ClaudeCodeSettings
from kaizen.sync.sources.claude_code.source import ClaudeCodeSource
from kaizen.sync.sources.codex.settings import CodexSettings
from kaizen.sync.sources.codex.source import CodexSource
from kaizen.sync.sources.files.settings import FilesSettings
from kaizen.sync.sources.files.source import FilesSource
from kaizen.sync.sources.langfuse.settings import LangfuseSettings
from kaizen.sync.sources.langfuse.source import LangfuseSource
from kaizen.sync.sources.mlflow.settings import MlflowSettings
from kaizen.sync.sources.mlflow.source import MlflowSource
from kaizen.sync.sources.phoenix.records import span_of
from tests.support.played import PlayedLangfuse, PlayedMlflow
from tests.support.played_phoenix import PlayedPhoenix
from tests.support.spans import START, llm_span
from tests.support.traces import result, says, user
from tests.support.written import append, claude_lines, codex_lines, otlp

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync.sources.base import Source

Conversation = list[dict[str, Any]]

REFUSED = "Error: amount must be in cents, a whole number, got 12.50"
NOT_FOUND = "Exit code 127\n/bin/bash: line 1: pytest: command not found"


def refund(order: str) -> Conversation:
    """A run that learns what a tool demands from its error."""
    return [
        user(f"Refund 12.50 dollars of order {order}."),
        says("", (f"a{order}", "refund_order", json.dumps({"order_id": order, "amount": 12.5}))),
        result(f"a{order}", REFUSED),
        says(
            "In cents then.", (f"b{order}", "refund_order", json.dumps({"order_id": order, "amount": 1250}))
        ),
        result(f"b{order}", json.dumps({"order_id": order, "status": "refunded"})),
        says(f"Order {order} is refunded."),
    ]


def run_tests(module: str) -> Conversation:
    """A run of a coding agent that finds out how tests are run."""
    calls = [
        ("pytest", f"pytest tests/test_{module}.py", NOT_FOUND),
        ("look", "ls", "Makefile\npyproject.toml\nsrc\ntests\nuv.lock"),
        ("again", f"cd /work/app && uv run pytest tests/test_{module}.py", "3 passed in 0.12s"),
    ]
    messages = [user(f"Fix the {module} module until its tests pass.")]
    for name, command, output in calls:
        call_id = f"{name}-{module}"
        messages.append(says("", (call_id, "Bash", json.dumps({"command": command}))))
        messages.append(result(call_id, output))
    return [*messages, says(f"The tests of {module} pass.")]


RUNS = [refund("W17"), refund("W42"), run_tests("parser"), run_tests("printer")]
LEARNED = {
    "Write `uv run pytest` and not `pytest` in `command` when calling `Bash`: otherwise it refuses with "
    '"/bin/bash: line 1: pytest: command not found".': (2, "active"),
    "Multiply `amount` by 100 before calling `refund_order`: otherwise it refuses with "
    '"amount must be in cents, a whole number, got …".': (2, "active"),
}


def spans(number: int, run: Conversation) -> list[dict[str, Any]]:
    """The model calls of a run, as an instrumented client traces them."""
    trace_id, start = f"{number + 1:032x}", START + timedelta(hours=number)
    calls = [position for position, message in enumerate(run) if message["role"] == "assistant"]
    return [
        llm_span(
            run[:position],
            run[position],
            trace_id=trace_id,
            span_id=f"{number + 1:08x}{position:08x}",
            parent_id=None if position == calls[0] else f"{number + 1:08x}{calls[0]:08x}",
            start=start + timedelta(seconds=position),
        )
        for position in calls
    ]


@contextmanager
def phoenix_source(_: Path) -> Iterator[Source]:
    with PlayedPhoenix() as server:
        for number, run in enumerate(RUNS):
            server.add([span_of(span) for span in spans(number, run)])
        with PhoenixSource(PhoenixSettings(base_url=server.url, project="p")) as source:
            yield source


@contextmanager
def otlp_source(folder: Path) -> Iterator[Source]:
    for number, run in enumerate(RUNS):
        for span in spans(number, run):
            append(folder / "traces/otel.jsonl", otlp(span_of(span)))
    with FilesSource(FilesSettings(path=str(folder / "traces"), cache_dir=str(folder))) as source:
        yield source


@contextmanager
def chat_source(folder: Path) -> Iterator[Source]:
    append(folder / "chats/chats.jsonl", *({"messages": run} for run in RUNS[:2]))
    for number, run in enumerate(RUNS[2:]):
        append(folder / f"chats/run-{number}.jsonl", *run)
    with FilesSource(FilesSettings(path=str(folder / "chats"), cache_dir=str(folder))) as source:
        yield source


@contextmanager
def claude_source(folder: Path) -> Iterator[Source]:
    for number, run in enumerate(RUNS):
        lines = claude_lines(run, session=f"session-{number}", start=START + timedelta(hours=number))
        append(folder / f"projects/-work-app/session-{number}.jsonl", *lines)
    settings = ClaudeCodeSettings(project="/work/app", claude_dir=str(folder), cache_dir=str(folder))
    with ClaudeCodeSource(settings) as source:
        yield source


@contextmanager
def codex_source(folder: Path) -> Iterator[Source]:
    for number, run in enumerate(RUNS):
        lines = codex_lines(run, session=f"session-{number}", start=START + timedelta(hours=number))
        append(folder / f"sessions/2026/01/01/rollout-{number}.jsonl", *lines)
    settings = CodexSettings(project="/work/app", codex_dir=str(folder), cache_dir=str(folder))
    with CodexSource(settings) as source:
        yield source


@contextmanager
def mlflow_source(folder: Path) -> Iterator[Source]:
    with PlayedMlflow() as server:
        server.put(span_of(span) for number, run in enumerate(RUNS) for span in spans(number, run))
        settings = MlflowSettings(base_url=server.url, project="p", cache_dir=str(folder))
        with MlflowSource(settings) as source:
            yield source


@contextmanager
def langfuse_source(folder: Path) -> Iterator[Source]:
    """Observations as Langfuse's own SDK makes them: what went in and out, and no attributes."""
    with PlayedLangfuse() as server:
        for number, run in enumerate(RUNS):
            for span in map(span_of, spans(number, run)):
                server.put([span])
                asked = json.loads(span.attributes["input.value"])["messages"]
                answer = json.loads(span.attributes["output.value"])["choices"][0]["message"]
                server.observations[span.span_id] = {"input": asked, "output": answer, "metadata": {}}
        settings = LangfuseSettings(base_url=server.url, public_key="pk", cache_dir=str(folder))
        with LangfuseSource(settings) as source:
            yield source


@pytest.mark.parametrize(
    "shape",
    [
        phoenix_source,
        otlp_source,
        chat_source,
        claude_source,
        codex_source,
        mlflow_source,
        langfuse_source,
    ],
)
def test_the_same_runs_teach_the_same_tips_in_every_shape(shape: Callable[..., Any], tmp_path: Path) -> None:
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    where = StoreSettings(data_dir=tmp_path / "store", backend="sqlite")
    with shape(tmp_path) as source, open_store(where) as store:
        report = Sync(source, store, SyncSettings(quiet_s=0.0), models).run()
        tips = {tip.content: tip.metadata for tip in store.iterate("kaizen", type="guideline")}

    assert (report.traces, report.states["learned"]) == (4, 4)
    assert {content: (tip["support"], tip["status"]) for content, tip in tips.items()} == LEARNED
    assert {tip["creation_mode"] for tip in tips.values()} == {f"auto-{source.name}"}
    assert all(evidence["verified"] for tip in tips.values() for evidence in tip["sources"])
