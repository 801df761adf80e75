"""Measure `kaizen serve`, and print tables for docs/explanation/performance.md.

    python benchmarks/serve.py                        # all of it, in about five minutes
    python benchmarks/serve.py --only load --seconds 600

The server is a process of its own. CPU is that of its process, by /proc; times are those that a client sees.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from kaizen.store import Put, StoreSettings, open_store
from kaizen.tips import manual_tip

sys.path.insert(0, str(Path(__file__).parent))
from store import Tips

TICKS = os.sysconf("SC_CLK_TCK")
TOOLS = 500
WORDS = ("order", "refund", "invoice", "shipment", "customer", "account")
WORDS += ("booking", "flight", "hotel", "address", "payment", "status")


def tip(number: int) -> Put:
    """A tip of a usual size about one of many tools."""
    word, tool = WORDS[number % len(WORDS)], f"tool_{number % TOOLS}"
    content = (
        f"Give `{tool}` the {word} number {number} as text, since it answers an error for "
        f"{WORDS[number // 12 % 12]} of kind k{number % 997} otherwise."
    )
    fields: dict[str, Any] = {
        "implementation_steps": [f"Look up the {word} first", f"Then call {tool} once"],
        "task_description": f"Change a {word} for a customer",
        "signature": {"tool": tool, "error": f"{word} must be text"},
    }
    return manual_tip(content, trigger=f"A {word} of region r{number % 313} is to be changed", **fields)


def fill(directory: Path, tips: int) -> None:
    with open_store(StoreSettings(data_dir=directory)) as store:
        store.create_namespace("kaizen")
        for begin in range(0, tips, 1_000):
            store.commit("kaizen", [tip(n) for n in range(begin, min(tips, begin + 1_000))])
        store.reindex("kaizen")


class Server(NamedTuple):
    """A server that runs, and what it costs."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1_000


@contextmanager
def serving(directory: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "kaizen.cli", "serve", "--port", "0", "--data-dir", str(directory)]
    with (directory / "log").open("w+") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            while not (found := re.search(r"http://127.0.0.1:(\d+)", (directory / "log").read_text())):
                assert process.poll() is None, (directory / "log").read_text()
                time.sleep(0.1)
            yield Server(process.pid, int(found[1]))
        finally:
            process.terminate()
            process.wait(30)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float


class Client:
    """One connection that is kept: little else than the socket, so that the server is what is measured."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        sent = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
        began = time.perf_counter()
        writer.write(f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        content = await reader.readexactly(int(found.get("content-length", 0)))
        return Answer(int(first.split()[1]), found, content, time.perf_counter() - began)


async def repeat(
    server: Server, path: str, times: int, body: bytes = b"", **headers: str
) -> tuple[float, float, int]:
    """Return the median in ms, the server's CPU in ms for each, and the size of an answer."""
    client = Client(server.port)
    first = await client.ask(path, body, **headers)
    assert first.status < 400, (path, first.status, first.body[:500])
    began = server.cpu_s()
    answers = [await client.ask(path, body, **headers) for _ in range(times)]
    cpu = (server.cpu_s() - began) / times
    assert {answer.status for answer in answers} == {first.status}, path
    return 1e3 * statistics.median(answer.took_s for answer in answers), 1e3 * cpu, len(first.body)


async def snapshots(directory: Path) -> None:
    fill(directory, 10_000)
    with serving(directory) as server:
        first = await Client(server.port).ask("/v1/snapshot", Accept_Encoding="gzip")
        built_cpu = server.cpu_s()
        size = len(gzip.decompress(first.body))
        print(f"snapshot of 10,000 tips: {size:,} bytes, {len(first.body):,} gzipped")
        print(f"first answer after the start: {first.took_s:.2f} s; CPU until then {built_cpu:.1f} s")
        print("| request | median, ms | server CPU, ms | bytes |\n|---|---:|---:|---:|")
        for what, headers in (
            ("200, gzip", {"Accept_Encoding": "gzip"}),
            ("304", {"If_None_Match": first.headers["etag"]}),
        ):
            took, cpu, size = await repeat(server, "/v1/snapshot", 500, **headers)
            print(f"| {what} | {took:.2f} | {cpu:.2f} | {size:,} |")
        recall = json.dumps(
            {"task": "Change the address of a customer", "tools": ["tool_7", "tool_8"]}
        ).encode()
        await repeat(server, "/v1/recall", 1, recall, Content_Type="application/json")
        took, cpu, size = await repeat(server, "/v1/recall", 200, recall, Content_Type="application/json")
        print(f"| `POST /v1/recall` | {took:.2f} | {cpu:.2f} | {size:,} |")
        print(f"memory: {server.memory_mb():.0f} MB")


def fill_varied(directory: Path, tips: int) -> list[str]:
    """Fill a store with tips whose words are as frequent as those of real text are; return some words."""
    supply = Tips()
    with open_store(StoreSettings(data_dir=directory)) as store:
        store.create_namespace("kaizen")
        for _ in range(tips // 1_000):
            store.commit("kaizen", [valid(put) for put in islice(supply, 1_000)])
        store.reindex("kaizen")
        return store.get("kaizen", f"tip-{tips // 2:09d}").content.split()[:8]


def valid(put: Put) -> Put:
    """Return the tip with what a page shows of it."""
    metadata = {**put.metadata, "schema_version": 2, "creation_mode": "manual"}
    return Put(id=put.id, type=put.type, content=put.content, metadata=metadata)


async def sizes(directory: Path, tips: int) -> None:
    query = "+".join(fill_varied(directory, tips))
    with serving(directory) as server:
        print(f"\n{tips:,} tips")
        print("| request | median, ms | server CPU, ms | bytes | first, ms |\n|---|---:|---:|---:|---:|")
        for name, path in (
            ("API: a page of 50 tips", "/v1/tips?limit=50"),
            ("API: search", f"/v1/tips/search?q={query}"),
            ("overview", "/ns/kaizen"),
            ("tips", "/ns/kaizen/tips"),
            ("tips: search", f"/ns/kaizen/tips?q={query}"),
            ("a tip", f"/ns/kaizen/tips/tip-{tips // 2:09d}"),
            ("review", "/ns/kaizen/review"),
            ("runs", "/ns/kaizen/runs"),
            ("try recall", "/ns/kaizen/recall?task=change+an+order"),
        ):
            first = await Client(server.port).ask(path)
            while b"Reading the tips" in (await Client(server.port).ask(path)).body:
                await asyncio.sleep(0.5)
            took, cpu, size = await repeat(server, path, 30)
            print(f"| {name} | {took:.1f} | {cpu:.1f} | {size:,} | {1e3 * first.took_s:.0f} |")
        print(f"memory: {server.memory_mb():.0f} MB")


WRITER = """
import sys, time
from pathlib import Path
from kaizen.store import Put, StoreSettings, open_store
sys.path.insert(0, {here!r})
from serve import tip
with open_store(StoreSettings(data_dir=Path({directory!r}))) as store:
    number, end = 1_000_000, time.monotonic() + {seconds}
    while time.monotonic() < end:
        record = Put(type="trajectory", content="x" * 20_000, metadata={{"state": "learned"}})
        store.commit("kaizen", [tip(number), record], actor="bench", run_id="bench")
        number += 1
        time.sleep(0.1)
"""


async def load(directory: Path, seconds: int, clients: int, people: int) -> None:
    """Let clients poll once a second and people read, while another process writes as a sync does."""
    fill(directory, 10_000)
    told: dict[str, list[float]] = {"304": [], "200": [], "page": []}
    errors: list[str] = []
    memory: list[float] = []

    async def poll(server: Server, end: float) -> None:
        client, etag = Client(server.port), ""
        await asyncio.sleep(random.random())
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                known = {"If_None_Match": etag} if etag else {}
                answer = await client.ask("/v1/snapshot", Accept_Encoding="gzip", **known)
                etag = answer.headers["etag"]
                told[str(answer.status)].append(answer.took_s)
            except Exception as error:
                errors.append(repr(error))
                client = Client(server.port)
            await asyncio.sleep(max(0, 1 - (time.monotonic() - began)))

    async def read(server: Server, end: float) -> None:
        client = Client(server.port)
        paths = ["/v1/tips?limit=50", "/v1/tips/search?q=change+an+address", "/v1/runs"]
        while time.monotonic() < end:
            await asyncio.sleep(random.uniform(1, 5))
            answer = await client.ask(random.choice(paths))
            told["page"].append(answer.took_s)
            if answer.status != 200:
                errors.append(f"{answer.status}: {answer.body[:200]!r}")

    async def watch(server: Server, end: float) -> None:
        while time.monotonic() < end:
            memory.append(server.memory_mb())
            await asyncio.sleep(min(10, seconds / 10))

    script = WRITER.format(here=str(Path(__file__).parent), directory=str(directory), seconds=seconds)
    with serving(directory) as server, subprocess.Popen([sys.executable, "-c", script]) as writer:
        cpu, end = server.cpu_s(), time.monotonic() + seconds
        work = [poll(server, end) for _ in range(clients)] + [read(server, end) for _ in range(people)]
        await asyncio.gather(*work, watch(server, end))
        cpu = server.cpu_s() - cpu
        writer.wait(60)
    print(
        f"\n{clients} clients at 1 Hz, {people} people and a writer of 10 commits a second, for {seconds} s"
    )
    print("| answers | number | median, ms | p99, ms |\n|---|---:|---:|---:|")
    for name, times in told.items():
        if len(times) > 1:
            p99 = statistics.quantiles(times, n=100)[98]
            print(f"| {name} | {len(times):,} | {1e3 * statistics.median(times):.1f} | {1e3 * p99:.1f} |")
    print(f"errors: {len(errors)} {errors[:3]}; server CPU {100 * cpu / seconds:.0f}% of a core")
    third = len(memory) // 3
    print(f"memory, MB: first third {max(memory[:third]):.0f}, last third {max(memory[-third:]):.0f}")


EMPTY = """
import uvicorn
from mcp.server.mcpserver import MCPServer
server = MCPServer("empty")
@server.tool(structured_output=False)
def recall_tips(task: str) -> str:
    return ""
app = server.streamable_http_app(stateless_http=True, json_response=True)
uvicorn.run(app, port=0, access_log=False)
"""


async def mcp(directory: Path) -> None:
    fill(directory, 1_000)
    asked = {"name": "recall_tips", "arguments": {"task": "Change the address of a customer"}}
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}).encode()
    headers = {"Content_Type": "application/json", "Accept": "application/json, text/event-stream"}
    print("\n| `recall_tips` over HTTP | median, ms | server CPU, ms |\n|---|---:|---:|")
    with serving(directory) as server:
        await repeat(server, "/mcp", 1, call, **headers)
        took, cpu, _ = await repeat(server, "/mcp", 200, call, **headers)
        print(f"| ours, 1,000 tips | {took:.1f} | {cpu:.1f} |")
    with (
        (directory / "log").open("w+") as log,
        subprocess.Popen([sys.executable, "-c", EMPTY], stderr=log) as process,
    ):
        while not (found := re.search(r"http://127.0.0.1:(\d+)", (directory / "log").read_text())):
            await asyncio.sleep(0.1)
        took, cpu, _ = await repeat(Server(process.pid, int(found[1])), "/mcp", 200, call, **headers)
        process.terminate()
    print(f"| an empty tool of the SDK | {took:.1f} | {cpu:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["snapshots", "sizes", "load", "mcp"], help="this part only")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--seconds", type=int, default=60, help="how long the load lasts")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--people", type=int, default=20)
    given = parser.parse_args()
    parts = {
        "snapshots": [lambda place: snapshots(place)],
        "sizes": [lambda place, size=size: sizes(place, size) for size in given.sizes],
        "load": [lambda place: load(place, given.seconds, given.clients, given.people)],
        "mcp": [lambda place: mcp(place)],
    }
    for name, runs in parts.items():
        for run in runs if given.only in (None, name) else ():
            with tempfile.TemporaryDirectory(prefix="kaizen-bench-") as directory:
                asyncio.run(run(Path(directory)))


if __name__ == "__main__":
    main()
