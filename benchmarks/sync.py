"""What a sync costs: `python benchmarks/sync.py --phoenix .venvs/phoenix/bin/phoenix` prints Markdown tables.

Phoenix is a real server on this machine, and the model a scripted one with a latency of its own. Memory at
many traces is measured with a source that makes its spans up, since a Phoenix takes hours to fill with so
many; all else is the same there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from kaizen.cli.demo.model_server import ModelServer
from kaizen.cli.demo.phoenix_server import PhoenixServer

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)
SPANS_PER_POST = 500

# The command as a user runs it, with what the process used said on its last line.
COMMAND = """
import json, resource, sys, time
started = time.perf_counter()
from kaizen.cli.app import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
usage = resource.getrusage(resource.RUSAGE_SELF)
used = {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - started,
        "memory_mb": usage.ru_maxrss / 1024}
print("\\n" + json.dumps(used))
"""

SYNTHETIC = """
import json, resource, sys, tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from kaizen.store import StoreSettings, open_store
from kaizen.sync.model import Anchor, IndexedSpan, IndexedTrace, Span, Trace
from kaizen.sync.pipeline import Sync
from kaizen.sync.settings import ModelSettings, SyncSettings

start, traces = datetime(2026, 1, 1, tzinfo=UTC), int(sys.argv[1])

class Source:
    name, project, server_version, requests = "synthetic", "p", "", 0
    def probe(self): return Anchor(row=traces, span_id=f"{traces:016x}")
    def changed_since(self, anchor): return None
    def span_url(self, trace_id, span_id): return ""
    def index(self, *, since=None, until=None):
        for number in range(traces):
            at = start + timedelta(seconds=number)
            span = IndexedSpan(span_id=f"{number:016x}", parent_id=None, end_time=at)
            yield IndexedTrace(trace_id=f"{number:032x}", start_time=at, spans=(span,))
    def fetch(self, wanted):
        for one in wanted:
            span = Span(span_id=one.spans[0].span_id, trace_id=one.trace_id, parent_id=None, name="tick",
                kind="CHAIN", status="OK", status_message="", start_time=one.start_time,
                end_time=one.start_time, attributes={"input.value": "x" * 5000})
            yield Trace(trace_id=one.trace_id, spans=(span,))

with tempfile.TemporaryDirectory() as directory:
    where = StoreSettings(backend=sys.argv[2], data_dir=Path(directory))
    with open_store(where) as store:
        report = Sync(Source(), store, SyncSettings(), ModelSettings()).run()
assert report.traces == traces, report
print(json.dumps({"memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "wall_s": report.duration_s}))
"""


def span(number: int, *, kind: str, text: str) -> dict[str, Any]:
    """One span that is a trace, of about 3 KB."""
    start = START + timedelta(seconds=number)
    messages = [{"role": "user", "content": f"{text} {number} {'about the weather ' * 100}"}]
    attributes = {
        "llm.model_name": "gpt-4o",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": messages[0]["content"],
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "It is sunny.",
    }
    return {
        "name": "ChatCompletion",
        "context": {"trace_id": secrets.token_hex(16), "span_id": secrets.token_hex(8)},
        "span_kind": kind,
        "parent_id": None,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "status_message": "",
        "attributes": attributes if kind == "LLM" else {"input.value": messages[0]["content"]},
        "events": [],
    }


def fill(url: str, project: str, traces: int, *, kind: str) -> None:
    """Give a project so many traces of one span, and wait until all are there."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        made = client.post("/v1/projects", json={"name": project}).raise_for_status()
        project_id = made.json()["data"]["id"]
        for first in range(0, traces, SPANS_PER_POST):
            numbers = range(first, min(first + SPANS_PER_POST, traces))
            spans = [span(number, kind=kind, text="tell me") for number in numbers]
            while client.post(f"/v1/projects/{project_id}/spans", json={"data": spans}).status_code == 503:
                time.sleep(1)
        while sum(1 for _ in listed(client, project_id)) < traces:
            time.sleep(1)


def listed(client: httpx.Client, project_id: str) -> Iterator[str]:
    cursor = None
    while True:
        query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/v1/projects/{project_id}/traces", params=query).raise_for_status().json()
        yield from (trace["trace_id"] for trace in page["data"])
        cursor = page["next_cursor"]
        if not cursor:
            return


def run(environ: dict[str, str], *options: object) -> tuple[dict[str, Any], dict[str, float]]:
    """One `kaizen sync phoenix` in a process of its own: its report, and what it used."""
    command = [sys.executable, "-c", COMMAND, "sync", "phoenix", "--json", *map(str, options)]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    report, _, used = done.stdout.rstrip().rpartition("\n")
    return json.loads(report), json.loads(used)


def table(headers: list[str], rows: list[list[str]]) -> None:
    for line in (headers, ["---"] * len(headers), *rows):
        print("| " + " | ".join(line) + " |")
    print(flush=True)


def nothing_new(url: str, environ: dict[str, str], sizes: list[int], backend: str) -> None:
    rows = []
    for traces in sizes:
        fill(url, f"known-{traces}", traces, kind="CHAIN")
        with tempfile.TemporaryDirectory() as directory:
            options = ["--project", f"known-{traces}", "--data-dir", directory, "--backend", backend]
            first, first_used = run(environ, *options)
            tries = [run(environ, *options) for _ in range(3)]
            report, used = min(tries, key=lambda one: one[1]["cpu_s"])
        assert (report["reading"], report["traces"]) == ("nothing", traces)
        rows.append(
            [
                f"{traces:,}",
                str(report["requests"]),
                f"{used['cpu_s']:.2f} s",
                f"{used['wall_s']:.2f} s",
                f"{first['duration_s']:.1f} s, {first['requests']} requests",
                f"{first_used['memory_mb']:.0f} MB",
            ]
        )
    print(f"Nothing new, {backend} backend:\n")
    table(["traces known", "requests", "CPU", "wall", "the first sync of them", "its memory"], rows)


def throughput(url: str, environ: dict[str, str], traces: int, backend: str) -> None:
    fill(url, "throughput", traces, kind="LLM")
    rows = []
    for latency_s in (0.0, 0.5, 2.0):
        for concurrency in (1, 8, 32):
            limit = traces if latency_s == 0 else min(traces, int(20 * concurrency / latency_s))
            with ModelServer(delay_s=latency_s) as model, tempfile.TemporaryDirectory() as directory:
                variables = {**environ, "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "scripted"}
                options = ["--project", "throughput", "--data-dir", directory, "--backend", backend]
                report, used = run(variables, *options, "--concurrency", concurrency, "--limit", limit)
                calls = sorted(request.at for request in model.requests)
            # From the first call on: what comes before is starting up, which no number of traces changes.
            rate = (len(calls) - concurrency) / (calls[-1] - calls[0]) if len(calls) > concurrency else 0.0
            bound = concurrency / latency_s if latency_s else None
            rows.append(
                [
                    f"{latency_s * 1000:.0f} ms",
                    str(concurrency),
                    str(report["processed"]["learned"] + report["processed"]["no_lesson"]),
                    f"{rate:.1f}/s",
                    f"{100 * rate / bound:.0f}%" if bound else "",
                    f"{used['cpu_s'] / used['wall_s']:.2f} cores",
                ]
            )
    print("Throughput; the bound is concurrency / latency:\n")
    table(["model latency", "concurrency", "traces", "model calls", "of the bound", "CPU of the sync"], rows)


def reading(url: str) -> None:
    """How fast spans come in, beside a bare HTTP client that reads the same ones."""
    from kaizen.sync.phoenix import PhoenixSource
    from kaizen.sync.settings import PhoenixSettings

    with PhoenixSource(PhoenixSettings(base_url=url, project="throughput")) as source:
        wanted = list(source.index())
        started = time.perf_counter()
        spans = sum(len(trace.spans) for trace in source.fetch(iter(wanted)))
        ours = spans / (time.perf_counter() - started)
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        started, bare, cursor = time.perf_counter(), 0, None
        while True:
            query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            page = client.get("/v1/projects/throughput/spans", params=query).raise_for_status().json()
            bare += len(page["data"])
            cursor = page["next_cursor"]
            if not cursor:
                break
        theirs = bare / (time.perf_counter() - started)
    print(f"Fetch: {ours:,.0f} spans/s by trace id; a bare client that pages through: {theirs:,.0f}.\n")


def memory(sizes: list[int], backend: str) -> None:
    rows = []
    for traces in sizes:
        done = subprocess.run(
            [sys.executable, "-c", SYNTHETIC, str(traces), backend],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        used = json.loads(done.stdout.splitlines()[-1])
        rows.append([f"{traces:,}", f"{used['memory_mb']:.0f} MB", f"{used['wall_s']:.0f} s"])
    print(f"Memory, synthetic source, no model calls, {backend} backend:\n")
    table(["traces", "memory", "time"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", type=Path, required=True)
    parser.add_argument("--backend", default="filesystem")
    parser.add_argument("--known", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--traces", type=int, default=640)
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}.\n")
    with (
        tempfile.TemporaryDirectory() as directory,
        PhoenixServer(given.phoenix, Path(directory)) as server,
    ):
        environ = {"PHOENIX_URL": server.url, "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini"}
        if given.known:
            nothing_new(server.url, environ, given.known, given.backend)
        if given.traces:
            throughput(server.url, environ, given.traces, given.backend)
            reading(server.url)
    if given.memory:
        memory(given.memory, given.backend)


if __name__ == "__main__":
    main()
