"""Every way to make a call, traced and untraced: the agent sees the same, and each call is one span that ends as it did."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.auto.collector import Collector, Span
from tests.auto.dripping import DrippingServer
from tests.auto.process import run_python
from tests.auto.ways import NOTHING, PART, SETUP, WHOLE, Call, openai_calls
from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = __import__("pathlib").Path(__file__).with_name("calling.py")


@dataclass(frozen=True)
class Run:
    """What a program that made all calls of a table saw, and the spans of each by the name of the call."""

    seen: dict[str, list[Any]]
    stderr: str
    bodies: list[list[str]]
    spans: dict[str, list[Span]]
    left_open: list[str]


def run_table(calls: dict[str, Call], setup: str, folder: Path, *, enabled: bool) -> dict[str, Any]:
    table = folder / "table.json"
    table.write_text(json.dumps({"setup": setup, **{name: call[:3] for name, call in calls.items()}}))
    with Collector() as collector, DrippingServer() as server:
        ended = run_python(
            RUNNER.read_text(),
            folder=folder,
            collector_url=collector.url,
            model_url=server.base_url,
            enabled=enabled,
            TABLE=str(table),
        )
        assert ended.returncode == 0, ended.stderr
        names = {span.trace_id: span.name for span in collector.spans if span.scope == "kaizen.auto"}
        spans: dict[str, list[Any]] = {}
        for span in collector.spans:
            if span.scope != "kaizen.auto":
                spans.setdefault(names.get(span.trace_id, "elsewhere"), []).append(asdict(span))
        return {
            "seen": json.loads(ended.stdout),
            "stderr": ended.stderr,
            "bodies": [[path, body.decode()] for path, body in server.bodies],
            "spans": spans,
            "left_open": json.loads((folder / "open.json").read_text()),
        }


def run_both(name: str, calls: dict[str, Call], setup: str, directory: Path) -> tuple[Run, Run]:
    """The table run without and with tracing, once for all processes of the test run."""

    def both() -> list[dict[str, Any]]:
        runs = []
        for enabled in (False, True):
            folder = directory / f"{name}-{enabled}"
            folder.mkdir(exist_ok=True)
            runs.append(run_table(calls, setup, folder, enabled=enabled))
        return runs

    untraced, traced = (
        Run(
            **{
                **run,
                "spans": {call: [Span(**span) for span in spans] for call, spans in run["spans"].items()},
            }
        )
        for run in once_a_run(directory / f"{name}.json", both)
    )
    return untraced, traced


OPENAI = openai_calls()


@pytest.fixture(scope="session")
def openai_runs(run_directory: Path) -> tuple[Run, Run]:
    return run_both("openai-calls", OPENAI, SETUP, run_directory)


@pytest.mark.timeout(300)
def test_the_process_says_nothing_of_its_own_and_sends_the_same(openai_runs: tuple[Run, Run]) -> None:
    untraced, traced = openai_runs
    assert untraced.spans == {}
    assert (traced.stderr, traced.bodies) == (untraced.stderr, untraced.bodies)
    assert "elsewhere" not in traced.spans


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OPENAI)
def test_a_call_of_openai(name: str, openai_runs: tuple[Run, Run]) -> None:
    untraced, traced = openai_runs
    assert traced.seen[name] == untraced.seen[name]
    check_span(traced, name, OPENAI[name])


def check_span(run: Run, name: str, call: Call) -> None:
    (span,) = run.spans[name]
    assert span.status == call.way.status, span
    assert bool(span.exceptions) == (span.status == "ERROR")
    assert "kaizen.unfinished" not in span.attributes
    assert call.way.collected or name not in run.left_open
    if span.kind == "EMBEDDING":
        return
    output = str(span.attributes.get("output.value", ""))
    assert ("The " in output or "42" in output) == (call.way.output != NOTHING), output
    assert ('."' in output or "42" in output) == (call.way.output == WHOLE), output
    if call.way.output == PART:
        assert "llm.output_messages.0.message.role" in span.attributes or span.name == "Completion"
