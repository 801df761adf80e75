"""What a sync costs: `python benchmarks/sync.py --phoenix .venvs/phoenix/bin/phoenix` prints Markdown tables.

Phoenix is a real server on this machine, and the model a scripted one with a latency of its own. Memory at
many traces is measured with `replayed_phoenix.py` too, since a Phoenix takes the better part of an hour to
fill with so many; all else is the same there. `--sections` names what to measure.
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
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from lessons import LESSONS, lesson, teaching

from kaizen.demo.model_server import ModelServer
from kaizen.demo.phoenix_server import PhoenixServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECTIONS = ("nothing-new", "throughput", "lessons", "fetch", "memory")
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


def span(number: int, *, kind: str, text: str) -> dict[str, Any]:
    """One span that is a trace, of about 3 KB."""
    start = START + timedelta(seconds=number)
    content = f"{text} {number} {'about the weather ' * 100}"
    attributes = {
        "llm.model_name": "gpt-4o",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": content,
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
        "attributes": attributes if kind == "LLM" else {"input.value": content},
        "events": [],
    }


def fill(
    url: str, project: str, traces: int, *, kind: str, text: Callable[[int], str] = lambda _: "tell me"
) -> None:
    """Give a project so many traces of one span, and wait until all are there."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        made = client.post("/v1/projects", json={"name": project}).raise_for_status()
        project_id = made.json()["data"]["id"]
        for first in range(0, traces, SPANS_PER_POST):
            numbers = range(first, min(first + SPANS_PER_POST, traces))
            spans = [span(number, kind=kind, text=text(number)) for number in numbers]
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
    """One `kaizen sync phoenix` in a process of its own: its report, and what it used.

    It uses bytecode even where the environment forbids to write it: compiling at each start is not its cost.
    """
    command = [sys.executable, "-c", COMMAND, "sync", "phoenix", "--json", *map(str, options)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env={**variables, **environ}, capture_output=True, text=True, check=False)
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
            # About a minute each, as far as there are traces.
            limit = min(traces, int(60 * concurrency / latency_s)) if latency_s else traces
            with ModelServer(delay_s=latency_s) as model, tempfile.TemporaryDirectory() as directory:
                options = ["--project", "throughput", "--data-dir", directory, "--backend", backend]
                rows.append(timed(environ, model, concurrency, limit, options))
    print(f"Throughput, {backend} backend, traces that teach nothing; the bound is concurrency / latency:\n")
    table(TIMED, rows)


def lessons(url: str, environ: dict[str, str], traces: int, backend: str) -> None:
    """The same where each trace teaches something, first into an empty store and then into that one."""
    fill(url, "lessons", traces, kind="LLM", text=lesson)
    rows = []
    for latency_s, concurrency in ((0.5, 8), (0.5, 32), (2.0, 8), (2.0, 32)):
        limit = min(traces, int(60 * concurrency / latency_s)) // 2
        with tempfile.TemporaryDirectory() as directory:
            options = ["--project", "lessons", "--data-dir", directory, "--backend", backend]
            for store in ("empty", "full"):
                with ModelServer(delay_s=latency_s, scenarios=teaching()) as model:
                    rows.append([store, *timed(environ, model, concurrency, limit, options)])
    print(f"Throughput, {backend} backend, a lesson in each trace, one of {LESSONS}:\n")
    table(["store", *TIMED], rows)


TIMED = [
    "model latency",
    "concurrency",
    "traces",
    "calls to tell",
    "to compare",
    "calls",
    "of the bound",
    "CPU a trace",
    "CPU",
]


def timed(
    environ: dict[str, str], model: ModelServer, concurrency: int, limit: int, options: list[str]
) -> list[str]:
    """One sync of so many traces, as a row of a table."""
    variables = {**environ, "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "scripted"}
    report, used = run(variables, *options, "--concurrency", concurrency, "--limit", limit)
    assert sum(report["processed"].values()) == limit, report
    calls = sorted(request.at for request in model.requests)
    compared = sum(request.schema_name == "kaizen_reconcile" for request in model.requests)
    # From the first call on: what comes before is starting up, which no number of traces changes.
    rate = (len(calls) - concurrency) / (calls[-1] - calls[0])
    return [
        f"{model.delay_s * 1000:.0f} ms",
        str(concurrency),
        str(limit),
        str(len(calls) - compared),
        str(compared),
        f"{rate:.1f}/s",
        f"{100 * rate * model.delay_s / concurrency:.0f}%" if model.delay_s else "",
        f"{1000 * used['cpu_s'] / limit:.0f} ms",
        f"{used['cpu_s'] / used['wall_s']:.2f} cores",
    ]


def reading(url: str, project: str) -> None:
    """How fast spans come in, beside a bare HTTP client that reads the same ones: the best of three each."""
    ours, theirs = zip(*((by_trace_id(url, project), bare(url, project)) for _ in range(3)), strict=True)
    print("Fetch, spans with attributes of about 3 KB each:\n")
    table(
        ["by", "spans/s"],
        [
            ["a sync: by trace id, two requests under way, parsed", f"{max(ours):,.0f}"],
            ["a bare client: pages of 1,000, JSON decoded", f"{max(theirs):,.0f}"],
        ],
    )


def by_trace_id(url: str, project: str) -> float:
    from kaizen.sync import PhoenixSettings, PhoenixSource

    with PhoenixSource(PhoenixSettings(base_url=url, project=project)) as source:
        wanted = list(source.index())
        started = time.perf_counter()
        spans = sum(len(trace.spans) for trace in source.fetch(iter(wanted)))
        return spans / (time.perf_counter() - started)


def bare(url: str, project: str) -> float:
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        started, spans, cursor = time.perf_counter(), 0, None
        while True:
            query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            page = client.get(f"/v1/projects/{project}/spans", params=query).raise_for_status().json()
            spans += len(page["data"])
            cursor = page["next_cursor"]
            if not cursor:
                return spans / (time.perf_counter() - started)


def memory(url: str, environ: dict[str, str], backend: str, sizes: list[int], learned: list[int]) -> None:
    rows = []
    for traces in sizes[:1]:
        fill(url, "memory", traces, kind="CHAIN")
        rows.append(remembered("Phoenix, no model call", environ, backend, "memory", traces))
    for kind, counts in (("CHAIN", sizes), ("LLM", learned)):
        for traces in counts:
            with replayed(traces, kind) as replay_url, ModelServer() as model:
                variables = {
                    "PHOENIX_URL": replay_url,
                    "OPENAI_BASE_URL": model.base_url,
                    "OPENAI_API_KEY": "scripted",
                }
                what = "replayed, no model call" if kind == "CHAIN" else "replayed, a model call each"
                rows.append(remembered(what, {**environ, **variables}, backend, "replayed", traces))
    print(f"Memory of a first sync, {backend} backend:\n")
    table(["source", "traces", "memory", "time", "CPU a trace"], rows)


def remembered(what: str, environ: dict[str, str], backend: str, project: str, traces: int) -> list[str]:
    with tempfile.TemporaryDirectory() as directory:
        report, used = run(environ, "--project", project, "--data-dir", directory, "--backend", backend)
    assert report["traces"] == sum(report["processed"].values()) == traces, report
    return [
        what,
        f"{traces:,}",
        f"{used['memory_mb']:.0f} MB",
        f"{report['duration_s']:.0f} s",
        f"{1000 * used['cpu_s'] / traces:.1f} ms",
    ]


@contextmanager
def replayed(traces: int, kind: str) -> Iterator[str]:
    program = Path(__file__).with_name("replayed_phoenix.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(traces), kind], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", type=Path, required=True)
    parser.add_argument("--backend", default="sqlite")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--known", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--traces", type=int, default=960)
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--learned", type=int, nargs="*", default=[1_000, 5_000])
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}.\n")
    with (
        tempfile.TemporaryDirectory() as directory,
        PhoenixServer(given.phoenix, Path(directory)) as server,
    ):
        environ = {"PHOENIX_URL": server.url, "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini"}
        if "nothing-new" in given.sections:
            nothing_new(server.url, environ, given.known, given.backend)
        if "throughput" in given.sections:
            throughput(server.url, environ, given.traces, given.backend)
        if "lessons" in given.sections:
            lessons(server.url, environ, given.traces, given.backend)
        if "fetch" in given.sections:
            fill(server.url, "fetch", given.traces, kind="LLM")
            reading(server.url, "fetch")
        if "memory" in given.sections:
            memory(server.url, environ, given.backend, given.memory, given.learned)


if __name__ == "__main__":
    main()
