"""What kaizen.auto costs an agent, beside no tracing and beside phoenix.otel: `python benchmarks/auto.py`.

Prints a Markdown table. Every number comes from agents in processes of their own that call a scripted model
over HTTP on this machine. Each round runs every variant once, in turn; a number with a sign is the difference
to the untraced agent. The best round of each variant counts, the quietest stretch of calls: a busy machine
only ever adds, and what a variant does by itself, it does every time. CPU is that of the whole process, its
export thread included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from kaizen.demo.model_server import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTER = (
    "from phoenix.otel import register\n"
    "register(endpoint=endpoint + '/v1/traces', auto_instrument=True, batch={}, verbose=False)\n"
)
KAIZEN = "os.environ['KAIZEN_AUTO_ENABLED'] = '1'\nimport kaizen.auto\n"
NONE, SIMPLE, BATCH, OURS, BESIDE = (
    "no tracing",
    "phoenix.otel",
    "phoenix.otel, batch",
    "kaizen.auto",
    "kaizen.auto beside a Phoenix server",
)
VARIANTS = {
    NONE: "",
    SIMPLE: REGISTER.format(False),
    BATCH: REGISTER.format(True),
    OURS: KAIZEN,
    BESIDE: KAIZEN,
}
COLLECTORS = ("up", "down", "silent", "slow")

IMPORT = """
import json, sys, time
import __future__
modules, before = set(sys.modules), time.process_time()
import kaizen.auto
took = time.process_time() - before
print(json.dumps([took, sorted(set(sys.modules) - modules)]))
"""

AGENT = """
import asyncio, json, os, resource, statistics, time
endpoint = os.environ["KAIZEN_TRACING_ENDPOINT"]

def memory():
    # Not the peak that getrusage knows: it is that of the parent at first.
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

before, started = memory(), time.process_time()
{setup}
import openai
imported = time.process_time() - started
grown = memory() - before
client = openai.OpenAI(timeout=60)

def prompt(messages):
    return {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hello"}}] * messages}}

def call(messages, times):
    # the median of the quietest eighth of the calls, and the CPU of each on average
    walls, before = [], time.process_time()
    for _ in range(times):
        at = time.perf_counter()
        client.chat.completions.create(**prompt(messages))
        walls.append(time.perf_counter() - at)
    cpu, block = (time.process_time() - before) / times, max(1, times // 8)
    return min(statistics.median(walls[i:i + block]) for i in range(0, times - block + 1, block)), cpu

call(2, 1)
first_call = time.process_time() - started
call(2, {calls} // 10 or 1)
short, long = call(2, {calls}), call(100, {calls} // 2)

async def ticks(done):
    longest, at = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, at = max(longest, now - at), now
    return longest

async def concurrently():
    client, done = openai.AsyncOpenAI(timeout=60), asyncio.Event()
    await client.chat.completions.create(**prompt(2))
    ticker = asyncio.create_task(ticks(done))
    for _ in range({calls} // 4 or 1):
        await client.chat.completions.create(**prompt(2))
    done.set()
    return await ticker

stall = asyncio.run(concurrently())
print(json.dumps({{
    "import CPU": imported, "first call CPU": first_call, "memory": grown,
    "short wall": short[0], "short CPU": short[1], "long wall": long[0], "long CPU": long[1],
    "stall": stall, "last line": time.monotonic(),
}}), flush=True)
"""
# Three calls and an exit: for those that wait for the collector in each call.
BRIEF = AGENT.replace("call(2, {calls} // 10 or 1)\n", "").replace("call(100, {calls} // 2)", "call(100, 1)")


class Collector:
    """A collector that answers, answers after 1.5 s, takes requests and says nothing, or is not there."""

    def __init__(self, mode: str) -> None:
        stopping = self._stopping = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                if mode == "silent":
                    stopping.wait(120)
                    return
                if mode == "slow":
                    stopping.wait(1.5)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # An agent that ended takes its connections along.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if mode == "down":
            self._server.server_close()
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        else:
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self, mode: str) -> None:
        self._stopping.set()
        if mode != "down":
            self._server.shutdown()
            self._server.server_close()


def run(source: str, **environment: str) -> tuple[Any, float]:
    """The last line that a process printed, as JSON, and when the process had ended."""
    # An environment that forbids bytecode would have every process compile what it imports.
    cleared = ("KAIZEN", "OTEL", "PHOENIX", "OPENAI", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    ended = subprocess.run(
        [sys.executable, "-c", source],
        env={**kept, "OPENAI_API_KEY": "no-key", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    at = time.monotonic()
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1]), at


class Bench:
    """Agents of every variant against every kind of collector, and what they said."""

    def __init__(self, model_url: str, folder: Path, *, calls: int, rounds: int) -> None:
        self._model_url = model_url
        self._calls = calls
        self._rounds = rounds
        self._server = folder / "phoenix"
        self._server.mkdir()
        (self._server / "__init__.py").write_text("raise ImportError('the server was imported')\n")
        self.runs: dict[tuple[str, str], list[dict[str, float]]] = {}

    def agent(self, variant: str, mode: str, *, calls: int = 0) -> None:
        collector = Collector(mode)
        source = (BRIEF if calls else AGENT).format(setup=VARIANTS[variant], calls=calls or self._calls)
        environment = {"PYTHONPATH": str(self._server.parent)} if variant == BESIDE else {}
        said, ended = run(
            source, KAIZEN_TRACING_ENDPOINT=collector.url, OPENAI_BASE_URL=self._model_url, **environment
        )
        collector.close(mode)
        said["exit"] = ended - said["last line"]
        self.runs.setdefault((variant, mode), []).append(said)

    def measure(self, *, quick: bool) -> None:
        # The first run of each compiles what it imports.
        for variant in (OURS,) if quick else (SIMPLE, OURS):
            self.agent(variant, "up", calls=1)
        self.runs.clear()
        for _ in range(self._rounds):
            for variant in (NONE, OURS) if quick else VARIANTS:
                self.agent(variant, "up")
            for mode in () if quick else COLLECTORS[1:]:
                self.agent(OURS, mode)

    def measure_those_that_wait(self) -> None:
        """All at once: they do little but wait, up to a minute each."""
        waiting = [(variant, mode) for variant in (SIMPLE, BATCH) for mode in COLLECTORS[1:]]
        with ThreadPoolExecutor(len(waiting)) as pool:
            list(pool.map(lambda pair: self.agent(*pair, calls=1), waiting))

    def value(self, variant: str, what: str, mode: str = "up") -> float | None:
        return min((run[what] for run in self.runs.get((variant, mode), [])), default=None)

    def added(self, variant: str, what: str, mode: str = "up") -> float | None:
        value, without = self.value(variant, what, mode), self.value(NONE, what)
        return None if value is None or without is None else value - without


def installed() -> tuple[list[str], float]:
    """What installing kaizen-auto brings, from the metadata of this environment: names, MB of files."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = ["kaizen-auto"]
    while waiting:
        distribution = importlib.metadata.distribution(waiting.pop())
        name = distribution.name.lower().replace("_", "-")
        if name in found:
            continue
        found[name] = distribution
        requirements = map(Requirement, distribution.requires or ())
        waiting += [one.name for one in requirements if not one.marker or one.marker.evaluate({"extra": ""})]
    files = [
        Path(str(path.locate()))
        for distribution in found.values()
        for path in distribution.files or ()
        if path.suffix != ".pyc"
    ]
    return sorted(found), sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def import_rows(rounds: int) -> list[str]:
    rows = []
    for label, enabled, target in (
        ("import, disabled", "", "<= 2 ms"),
        ("import, enabled, no framework", "1", "<= 15 ms"),
    ):
        said = [run(IMPORT, KAIZEN_AUTO_ENABLED=enabled)[0] for _ in range(rounds)]
        took, modules = min(one[0] for one in said), said[0][1]
        ours = ", ".join(f"`{name}`" for name in modules) if len(modules) < 3 else f"{len(modules)} modules"
        rows.append(f"| {label} | {target} | | | | {took * 1e3:.1f} ms; {ours} | |")
    return rows


def agent_rows(bench: Bench) -> list[str]:
    def row(label: str, target: str, cell: Callable[[str], str]) -> str:
        return f"| {label} | {target} | {' | '.join(cell(variant) for variant in VARIANTS)} |"

    def number(value: float | None, unit: str, scale: float, digits: int) -> str:
        return "" if value is None else f"{value * scale:.{digits}f} {unit}"

    def cell(
        what: str, unit: str, scale: float, digits: int, mode: str = "up", *, absolute: bool = False
    ) -> Callable[[str], str]:
        def of(variant: str) -> str:
            if variant == NONE or absolute:
                return number(bench.value(variant, what, mode), unit, scale, digits)
            added = number(bench.added(variant, what, mode), unit, scale, digits)
            return added if not added or added.startswith("-") else f"+{added}"

        return of

    rows = [
        row("import of `openai`, CPU", "<= +350 ms, +200 ms beside", cell("import CPU", "ms", 1e3, 0)),
        row("until the first answer, CPU", "", cell("first call CPU", "ms", 1e3, 0)),
        row("import of `openai`, memory", "<= +40 MB", cell("memory", "MB", 1e-6, 0)),
        row("call of 2 messages, median", "<= +1 ms", cell("short wall", "ms", 1e3, 2)),
        row("call of 2 messages, CPU", "", cell("short CPU", "ms", 1e3, 2)),
        row("call of 100 messages, median", "", cell("long wall", "ms", 1e3, 2)),
        row("call of 100 messages, CPU", "<= +5 ms", cell("long CPU", "ms", 1e3, 2)),
    ]
    for mode in COLLECTORS[1:]:
        rows.append(
            row(
                f"call of 2 messages, collector {mode}",
                "as up, within 10%",
                cell("short wall", "ms", 1e3, 2, mode, absolute=True),
            )
        )
    for mode in COLLECTORS:
        rows.append(
            row(
                f"longest stall of an asyncio loop, collector {mode}",
                "< 100 ms",
                cell("stall", "ms", 1e3, 0, mode, absolute=True),
            )
        )
    for mode, target in zip(COLLECTORS, ("<= +0.5 s", "<= +0.5 s", "<= +2 s", "<= +2 s"), strict=True):
        rows.append(row(f"exit, collector {mode}", target, cell("exit", "s", 1, 2, mode)))
    return rows


def table(bench: Bench, rounds: int) -> str:
    names, megabytes = installed()
    return "\n".join(
        [
            f"| | target | {' | '.join(VARIANTS)} |",
            f"|---|---{'|---' * len(VARIANTS)}|",
            *import_rows(rounds),
            *agent_rows(bench),
            f"| installed | <= 32 distributions, <= 35 MB | | | | {len(names)}, {megabytes:.0f} MB | |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=80, help="calls of 2 messages in each agent")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="only see that it works: one round, few calls")
    given = parser.parse_args()
    calls, rounds = (4, 1) if given.quick else (given.calls, given.rounds)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ModelServer() as model:
        bench = Bench(model.base_url, Path(name), calls=calls, rounds=rounds)
        bench.measure(quick=given.quick)
        if not given.quick:
            bench.measure_those_that_wait()
        print(table(bench, 1 if given.quick else 15))
    names, _ = installed()
    print(f"\nPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;", end=" ")
    versions = ("openai", "arize-phoenix-otel", "openinference-instrumentation-openai", "opentelemetry-sdk")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in versions), end=". ")
    print(f"{rounds} rounds, {calls} calls, {time.monotonic() - started:.0f} s.\n")
    print(f"Installed: {', '.join(names)}.")


if __name__ == "__main__":
    main()
