"""Every way to make a call, without and with tracing: the agent sees the same, and each call is one span."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.auto.collector import Collector, Span
from tests.auto.dripping import DrippingServer
from tests.auto.process import run_python
from tests.auto.ways import NOTHING, WHOLE, Table, Way, tables
from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from collections.abc import Callable

RUNNER = Path(__file__).with_name("calling.py")
TABLES = tables()
CALLS = [(table, name) for table in TABLES for name in TABLES[table].calls]

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Run:
    """What a program that made all calls of a table saw, and the spans of each by the name of the call."""

    seen: dict[str, list[Any]]
    stderr: str
    requests: list[list[str]]
    spans: dict[str, list[Span]]
    left_open: list[str]


def run_table(table: Table, folder: Path, *, enabled: bool) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    calls = {name: [call.source, call.how, call.is_async] for name, call in table.calls.items()}
    (folder / "table.json").write_text(json.dumps({"setup": table.setup, **calls}))
    with Collector() as collector, DrippingServer() as server:
        ended = run_python(
            RUNNER.read_text(),
            folder=folder,
            collector_url=collector.url,
            model_url=server.base_url,
            enabled=enabled,
            TABLE="table.json",
        )
        assert ended.returncode == 0, ended.stderr
        names = {span.trace_id: span.name for span in collector.spans if span.scope == "kaizen.auto"}
        spans: dict[str, list[Any]] = {}
        for span in collector.spans:
            if span.scope != "kaizen.auto":
                spans.setdefault(names.get(span.trace_id, "elsewhere"), []).append(asdict(span))
        return {
            "seen": json.loads(ended.stdout.splitlines()[-1]),
            "stderr": ended.stderr,
            "requests": [[path, body.decode()] for path, body in server.bodies],
            "spans": spans,
            "left_open": json.loads((folder / "open.json").read_text()),
        }


def run_both(table: Table, directory: Path) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run_table, table, directory / f"{enabled}", enabled=enabled)
            for enabled in (False, True)
        ]
        return [run.result() for run in runs]


@pytest.fixture(scope="session")
def both_runs(run_directory: Path) -> Callable[[str], list[Run]]:
    """The runs of a table without and with tracing, made once for all processes of the test run."""

    def of(name: str) -> list[Run]:
        directory = run_directory / f"calls-{name}"
        directory.mkdir(exist_ok=True)
        said = once_a_run(directory / "runs.json", lambda: run_both(TABLES[name], directory))
        return [
            Run(
                **{
                    **run,
                    "spans": {call: [Span(**span) for span in run["spans"][call]] for call in run["spans"]},
                }
            )
            for run in said
        ]

    return of


@pytest.mark.parametrize("table", TABLES)
def test_the_process_says_and_sends_what_it_does_without_us(
    table: str, both_runs: Callable[[str], list[Run]]
) -> None:
    untraced, traced = both_runs(table)
    assert untraced.spans == {}
    assert traced.requests == untraced.requests
    # LiteLLM complains of its own queue of logs now and then.
    said = {line for line in lines(traced.stderr) - lines(untraced.stderr) if "litellm" not in line.lower()}
    assert said == set()
    assert "elsewhere" not in traced.spans


def lines(text: str) -> set[str]:
    return set(re.sub(r"\d+", "N", text).splitlines())


@pytest.mark.parametrize(("table", "name"), CALLS, ids=[" ".join(call) for call in CALLS])
def test_the_agent_sees_the_same_and_the_span_ends_as_the_call_did(
    table: str, name: str, both_runs: Callable[[str], list[Run]]
) -> None:
    untraced, traced = both_runs(table)
    assert traced.seen[name] == untraced.seen[name]
    way = TABLES[table].calls[name].way
    if way.status == "ERROR" and not any(
        isinstance(value, list) and value[0] == "raised" for value in untraced.seen[name]
    ):
        # LiteLLM ends a stream that was cut off as if it were whole, in some versions.
        way = Way(way.source, status="OK", output=way.output)
    check_span(traced, name, way)


def check_span(run: Run, name: str, way: Way) -> None:
    (span,) = [span for span in run.spans[name] if span.kind in ("LLM", "EMBEDDING")]
    assert span.status == way.status, span
    assert span.status == "ERROR" or span.exceptions == ()
    assert "kaizen.unfinished" not in span.attributes
    assert way.collected or name not in run.left_open
    if span.kind == "EMBEDDING":
        return
    output = str(
        {key: value for key, value in span.attributes.items() if key.startswith(("output.", "llm.out"))}
    )
    assert ("The " in output or "42" in output) == (way.output != NOTHING), output
    assert ("two." in output or "42" in output) == (way.output == WHOLE), output
