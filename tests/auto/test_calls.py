"""Every way to make a call, without and with tracing: the agent sees the same, and each call is one span."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.auto.collector import Collector, Span
from tests.auto.dripping import DrippingServer
from tests.auto.process import run_python
from tests.auto.ways import NOTHING, WHOLE, Table, Way, tables
from tests.support.slow import only_where_slow

RUNNER = Path(__file__).with_name("calling.py")
TABLES = tables()
# The others repeat their kinds, or import what takes long to import.
ALWAYS = ("chat.completions",)
TIMEOUT_S = 280

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Run:
    """What a program that made all calls of a table saw, and the spans of each by the name of the call."""

    seen: dict[str, list[Any]]
    stderr: str
    requests: list[tuple[str, bytes]]
    spans: dict[str, list[Span]]
    left_open: list[str]


def run_table(table: Table, folder: Path, *, enabled: bool) -> Run:
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
            timeout_s=TIMEOUT_S,
            TABLE="table.json",
        )
        assert ended.returncode == 0, ended.stderr
        names = {span.trace_id: span.name for span in collector.spans if span.scope == "kaizen.auto"}
        spans: dict[str, list[Span]] = {}
        for span in collector.spans:
            if span.scope != "kaizen.auto":
                spans.setdefault(names.get(span.trace_id, "elsewhere"), []).append(span)
        return Run(
            seen=json.loads(ended.stdout.splitlines()[-1]),
            stderr=ended.stderr,
            requests=server.bodies,
            spans=spans,
            left_open=json.loads((folder / "open.json").read_text()),
        )


@pytest.mark.parametrize(
    "name",
    [name if name in ALWAYS else pytest.param(name, marks=only_where_slow) for name in TABLES],
)
def test_the_agent_sees_the_same_and_each_span_ends_as_its_call_did(name: str, tmp_path: Path) -> None:
    table = TABLES[name]
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(run_table, table, tmp_path / str(enabled), enabled=enabled)
            for enabled in (False, True)
        ]
        untraced, traced = (run.result() for run in running)
    assert untraced.spans == {}
    assert "elsewhere" not in traced.spans
    assert traced.requests == untraced.requests
    assert new_lines(traced.stderr, untraced.stderr) == set()
    faults = {
        call: fault
        for call in table.calls
        if (fault := fault_of(untraced, traced, call, table.calls[call].way)) is not None
    }
    assert faults == {}


def new_lines(text: str, before: str) -> set[str]:
    """Lines that only one of two outputs has, but for LiteLLM's complaints of its own queue of logs."""

    def lines(text: str) -> set[str]:
        return set(re.sub(r"\d+", "N", text).splitlines())

    return {line for line in lines(text) - lines(before) if "litellm" not in line.lower()}


def fault_of(untraced: Run, traced: Run, call: str, way: Way) -> object:
    """What is wrong with a call in the traced run, or None."""
    if traced.seen[call] != untraced.seen[call]:
        return untraced.seen[call], traced.seen[call]
    spans = [span for span in traced.spans[call] if span.kind in ("LLM", "EMBEDDING")]
    if len(spans) != 1:
        return [span.name for span in spans]
    (span,) = spans
    # LiteLLM passes a stream that was cut off for a whole one, in some versions.
    has_raised = any(isinstance(value, list) and value[0] == "raised" for value in untraced.seen[call])
    status = "OK" if way.status == "ERROR" and not has_raised else way.status
    if (span.status, bool(span.exceptions) and status != "ERROR") != (status, False):
        return span.status, span.said, span.exceptions
    if "kaizen.unfinished" in span.attributes or (call in traced.left_open and not way.collected):
        return "was not ended when the call was"
    return None if span.kind == "EMBEDDING" else wrong_output(span, way.output)


def wrong_output(span: Span, expected: str) -> str | None:
    names = [name for name in span.attributes if name.startswith(("output.", "llm.output_messages."))]
    output = " ".join(str(span.attributes[name]) for name in names)
    begun, ended = "The " in output or "42" in output, "two." in output or "42" in output
    return None if (begun, ended) == (expected != NOTHING, expected == WHOLE) else output
