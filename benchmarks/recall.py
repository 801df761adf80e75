"""What recall costs an agent, and how well it chooses: `python benchmarks/recall.py`.

Prints a Markdown table. Costs are measured in processes of their own, with a snapshot of 10,000 tips from a
server on this machine; the quietest of three rounds counts. The time of a call is the CPU time of its thread:
it waits for nothing, and other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from kaizen.recall import ServedTip, Snapshot
from kaizen.recall.choosing import Budget, Request, choose
from kaizen.recall.recalled import recall_from
from kaizen.store import Put, StoreSettings, open_store
from tests.support.snapshots import document, giving, many_tips, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

IMPORT = """
import sys, time
import __future__
before = time.process_time()
import kaizen.recall
from kaizen.recall.settings import is_enabled
is_enabled()
took = time.process_time() - before
import json
third = {n.partition(".")[0] for n in sys.modules} - sys.stdlib_module_names - {"kaizen", "__main__"}
print(json.dumps([took * 1e3, sorted(n for n in third if not n.startswith(("_", "sitecustomize")))]))
"""

CALLS = """
import asyncio, gc, json, random, resource, statistics, sys, time
from kaizen.recall import recall, arecall
from kaizen.recall.snapshots.polling import current_poller

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

draw = random.Random(1)
WORDS = "order refund invoice customer account booking flight hotel change find cancel my the".split()
def request():
    task = " ".join(draw.choices(WORDS, k=20)) + f" k{draw.randrange(997)} r{draw.randrange(313)}"
    return task, [f"tool_{draw.randrange(500)}" for _ in range(10)]

import urllib.request, http.client, ssl, email, random, tempfile, pathlib
before = memory()
started = time.perf_counter()
recall("", tools=[])
first = time.perf_counter() - started
deadline = time.monotonic() + float(sys.argv[1])
while current_poller().snapshot(wait=False) is None and time.monotonic() < deadline:
    time.sleep(0.01)
gc.collect()
grown = memory() - before
times, shown = [], 0
for _ in range(2000):
    task, tools = request()
    started = time.thread_time()
    recalled = recall(task, tools, instructions="You are an agent of a shop and answer its customers.")
    times.append((time.thread_time() - started) * 1e3)
    shown += len(recalled.shown)
times.sort()
median = statistics.median(times)
print(json.dumps(dict(first=first, grown=grown, median=median, p99=times[1980], shown=shown / 2000)))
"""

LOOP = """
import asyncio, json, random, sys, time
from kaizen.recall import arecall
from kaizen.recall.snapshots.polling import current_poller

async def main():
    gaps, done = [], False
    async def tick():
        last = time.perf_counter()
        while not done:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last - 0.001)
            last = now
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.2)
    idle = max(gaps)
    gaps.clear()
    await arecall("", tools=["tool_1"])
    deadline = time.monotonic() + float(sys.argv[1])
    while current_poller().snapshot(wait=False) is None and time.monotonic() < deadline:
        await arecall("change an order of customer", tools=["tool_1", "tool_2"])
        await asyncio.sleep(0.002)
    done = True
    await ticking
    gaps.sort()
    print(json.dumps(dict(idle=idle * 1e3, longest=gaps[-1] * 1e3, p999=gaps[int(len(gaps) * 0.999)] * 1e3)))
asyncio.run(main())
"""


HERE = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})\n"

STRETCH = (
    HERE
    + """
import gc, json, time
from kaizen.recall.snapshots.document import read_document
from tests.support.snapshots import document, many_tips
data = document(many_tips(10_000))
gc.collect()
stretches, last = [], time.thread_time()

def pause():
    global last
    time.sleep(0)
    now = time.thread_time()
    stretches.append((now - last) * 1e3)
    last = now

read_document(data, "kaizen", pause=pause)
print(json.dumps(max(stretches)))
"""
)

CALLS_AT_100_000 = (
    HERE
    + """
import json, random, statistics, time
from kaizen.recall import Snapshot, ServedTip
from kaizen.recall.choosing import Request
from kaizen.recall.recalled import recall_from
from tests.support.snapshots import many_tips
snapshot = Snapshot(ServedTip(**{**tip, "steps": tuple(tip["steps"])}) for tip in many_tips(100_000))
draw, times = random.Random(1), []
WORDS = "order refund invoice customer account booking flight hotel change find cancel my the".split()
for _ in range(1000):
    task = " ".join(draw.choices(WORDS, k=20)) + f" k{draw.randrange(997)} r{draw.randrange(313)}"
    request = Request(task, "You are an agent.", {f"tool_{draw.randrange(500)}": "" for _ in range(10)})
    started = time.thread_time()
    recall_from(snapshot, request, unit="u")
    times.append((time.thread_time() - started) * 1e3)
print(json.dumps(dict(median=statistics.median(times))))
"""
)


def run(code: str, *arguments: str, **variables: str) -> Any:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={"HOME": home, "PATH": "/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout)


def rounds(code: str, *arguments: str, count: int = 3, **variables: str) -> list[Any]:
    return [run(code, *arguments, **variables) for _ in range(count)]


@contextlib.contextmanager
def source(kind: str, tips: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Give the URL of a server that is up, down, silent or slow."""
    if kind == "up":
        with serving(giving(document(list(tips)), compress=True)) as server:
            yield server.url
    elif kind == "slow":
        with serving(lambda request: (server.closing.wait(2), giving(b"{}")(request))[1]) as server:
            yield server.url
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            if kind == "down":
                silent.close()
            yield url


def costs() -> Iterator[tuple[str, str, str]]:
    took, third = min(rounds(IMPORT, KAIZEN_RECALL_ENABLED="true"))
    yield (
        "enabled import, nothing used",
        "<= 5 ms CPU, no third-party module",
        f"{took:.1f} ms; {third or 'none'}",
    )
    tips = many_tips(10_000)
    with source("up", tips) as url:
        found = rounds(CALLS, "60", KAIZEN_RECALL_FROM=url)
        best = min(found, key=lambda each: each["median"])
        shown = f"{best['median']:.2f} / {best['p99']:.2f} ms; {best['shown']:.1f} tips shown"
        yield "call, 10,000 tips, median / 99%", "< 1 / < 3 ms", shown
        yield "memory, 10,000 tips", "< 30 MB", f"{min(each['grown'] for each in found):.1f} MB"
        loop = min(rounds(LOOP, "60", KAIZEN_RECALL_FROM=url), key=lambda each: each["longest"])
        shown = f"{loop['longest']:.1f} ms while it loads ({loop['idle']:.1f} ms before)"
        yield "asyncio loop held, longest", "< 10 ms", shown
    for kind in ("down", "silent", "slow"):
        with source(kind, []) as url:
            best = min(rounds(CALLS, "0", count=2, KAIZEN_RECALL_FROM=url), key=lambda each: each["median"])
        shown = f"{best['first']:.2f} s, then {best['median']:.3f} / {best['p99']:.3f} ms"
        yield f"source {kind}: first call, then", "<= 0.3 s, then as up", shown
    stretch = min(rounds(STRETCH))
    yield "loading thread, longest stretch without letting others run, CPU", "< 5 ms", f"{stretch:.1f} ms"
    yield "call, 100,000 tips, median", "< 5 ms", f"{run(CALLS_AT_100_000)['median']:.2f} ms"


def prefixes() -> Iterator[tuple[str, str, str]]:
    """Whether runs with the same tools get the same bytes, whatever they are asked and in whatever order."""
    draw = random.Random(2)
    tips = [ServedTip(f"t{n}", 1, f"Give tool_{n % 50} code {n}.", tool=f"tool_{n % 50}") for n in range(500)]
    snapshot = Snapshot(tips)
    same = total = 0
    for _ in range(200):
        tools = [f"tool_{draw.randrange(50)}" for _ in range(8)]
        texts = set()
        for _ in range(5):
            draw.shuffle(tools)
            request = Request(f"task {draw.random()}", tools=dict.fromkeys(tools, ""))
            recalled = recall_from(snapshot, request, unit=str(draw.random()))
            texts.add(json.dumps([recalled.text, recalled.notes], sort_keys=True))
        same, total = same + (len(texts) == 1), total + 1
    yield "same tools, no words in common: same bytes", "100%", f"{same / total:.0%} of {total} sets of tools"


def quality() -> Iterator[tuple[str, str, str]]:
    """How often the right tip is shown, for MetaTool's queries, by tools and by words."""
    tools = lines("metatool_docs.jsonl")
    queries = lines("metatool_queries_dev.jsonl")
    snapshot = Snapshot([ServedTip(t["tool"], 1, t["text"], tools={t["tool"]: "v"}) for t in tools])
    draw, names = random.Random(3), [tool["tool"] for tool in tools]
    by_tool = by_words = 0
    for query in queries:
        offered = {query["tool"], *draw.sample(names, 6)}
        request = Request(query["query"], tools=dict.fromkeys(offered, "v"))
        by_tool += any(c.tool == query["tool"] for c in choose(snapshot, request))
        three = choose(snapshot, Request(query["query"]), Budget(tokens=10**6, tips=3))
        by_words += query["tool"] in [candidate.tip.id for candidate in three]
    everyday = list(dict.fromkeys(pair["a"] for pair in lines("../pairs/stsb_en_dev.jsonl")))
    draw.shuffle(everyday)
    unrelated = sum(bool(choose(snapshot, Request(sentence))) for sentence in everyday[:400]) / 400
    count = len(queries)
    store = store_recall(tools, queries)
    yield "right tool's note shown, of 7 tools offered", ">= 99%", f"{by_tool / count:.1%}"
    yield (
        "by words alone, Recall@3",
        f">= {store - 0.05:.3f} (the store's {store:.3f} - 0.05)",
        f"{by_words / count:.3f}",
    )

    yield "everyday sentences that are shown a tip for a word", "", f"{unrelated:.0%} of 400"


def store_recall(tools: Sequence[dict[str, str]], queries: Sequence[dict[str, str]]) -> float:
    """Recall@3 of the store's hybrid search."""
    with (
        tempfile.TemporaryDirectory() as directory,
        open_store(StoreSettings(data_dir=Path(directory))) as store,
    ):
        store.create_namespace("k")
        store.commit(
            "k", [Put(id=tool["tool"], type="guideline", content=tool["text"], metadata={}) for tool in tools]
        )
        found = [[hit.entity.id for hit in store.search("k", query["query"], limit=3)] for query in queries]
    return sum(query["tool"] in ids for query, ids in zip(queries, found, strict=True)) / len(queries)


def tokens() -> Iterator[tuple[str, str, str]]:
    """How many tokens are added, by a real tokenizer, to requests over tips of all sizes."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    tips = [
        ServedTip(f"t{n}", 1, tip["text"], tool=f"tool_{n % 9}")
        for n, tip in enumerate(
            json.loads(line) for line in (DATA / "tips" / "ace_appworld_offline_bullets.jsonl").open()
        )
    ]
    snapshot = Snapshot(tips)
    most = 0.0
    for budget in (100, 200, 400, 600, 1_000):
        for task in ("play a song", "pay a friend", "list my files", "buy shoes"):
            recalled = recall_from(
                snapshot,
                Request(task, tools={f"tool_{n}": "" for n in range(0, 9, 2)}),
                unit="u",
                budget=Budget(tokens=budget, tips=50, per_tool=50),
            )
            added = "".join(f"\n\n{text}" for text in (recalled.text, *recalled.notes.values()) if text)
            most = max(most, len(litellm.encode(model="gpt-4", text=added)) / budget)
    yield "prompt tokens added, by GPT-4's tokenizer", "<= the budget", f"at most {most:.0%} of it"


def lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / "retrieval" / name).read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", choices=("costs", "prefixes", "quality", "tokens"), help="one part of the table"
    )
    given = parser.parse_args()
    print("| | target | measured |\n|---|---|---|")
    for part in (costs, prefixes, quality, tokens):
        if given.only in (None, part.__name__):
            for row in part():
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
