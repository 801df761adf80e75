"""How a process ends: its spans arrive, and a bad collector holds it up no longer than it may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kaizen.auto.options import Options
from kaizen.auto.pipeline.provider import build
from tests.auto.collector import Collector, closed_port

if TYPE_CHECKING:
    from tests.auto.conftest import RunAgent

# A span of its own stands for a call: what it takes to get out is the same, and no framework is imported.
CALL = """
import kaizen.auto
import os, sys, time

def ask():
    with kaizen.auto.agent_run("call"): pass
"""

SIGTERM = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
ask()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)
"""
FORK = """
child = os.fork()
if child == 0: ask()
else: assert os.waitpid(child, 0)[1] == 0
"""
MULTIPROCESSING = """
if __name__ == "__main__":
    import multiprocessing
    process = multiprocessing.get_context("{}").Process(target=ask)
    process.start()
    process.join()
    assert process.exitcode == 0
"""
POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    pool.submit(ask).result()
"""
# Leaving the block terminates the workers.
LEFT_POOL = """
if __name__ == "__main__":
    import multiprocessing
    with multiprocessing.get_context("{}").Pool(1) as pool:
        pool.apply(ask)
"""
ENDS = {
    "normally": (0, "ask()"),
    "with an exception": (1, "ask(); raise ZeroDivisionError"),
    "with sys.exit": (7, "ask(); sys.exit(7)"),
    "by SIGTERM with a handler": (143, SIGTERM),
    "after a flush, by os._exit": (0, "ask(); assert kaizen.auto.flush_traces(); os._exit(0)"),
    "in the child of a fork": (0, FORK),
    "in a multiprocessing child": (0, MULTIPROCESSING.format("fork")),
    "in a spawned child": (0, MULTIPROCESSING.format("spawn")),
    "in a process pool": (0, POOL),
    "in a forked pool that is left": (0, LEFT_POOL.format("fork")),
    "in a spawned pool that is left": (0, LEFT_POOL.format("spawn")),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_span_survives_a_process_that_ends(end: str, run_agent: RunAgent, collector: Collector) -> None:
    returncode, source = ENDS[end]
    # Nothing leaves before the end unless the end sees to it.
    process = run_agent(CALL + source, teardown=True, OTEL_BSP_SCHEDULE_DELAY="60000")
    assert process.returncode == returncode, process.stderr
    assert [span.name for span in collector.spans] == ["call"]
    assert process.stdout == ""


def test_a_pool_waits_little_for_a_collector_that_is_silent(run_agent: RunAgent) -> None:
    source = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(1) as pool:
    started = time.monotonic()
    for _ in range(3): pool.apply(ask)
    print(time.monotonic() - started)
"""
    with Collector(silent=True) as silent:
        process = run_agent(CALL + source, KAIZEN_TRACING_ENDPOINT=silent.url)
    assert (process.returncode, process.stderr) == (0, "")
    # Half a second for each task, were it not for a machine that is busy.
    assert float(process.stdout) < 10


STILL_OPEN = """
import kaizen.auto
import openai
client = openai.OpenAI()
ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
def read_two(lines): next(lines); next(lines); return lines
"""
UNFINISHED = {
    "a stream that is read in part": "kept = client.chat.completions.create(**ask, stream=True); next(kept)",
    "a raw stream that is read by hand": (
        "kept = client.chat.completions.with_raw_response.create(**ask, stream=True).http_response\n"
        "lines = kept.iter_lines(); next(lines)"
    ),
    "a streaming response that is not closed": (
        "kept = client.chat.completions.with_streaming_response.create(**ask, stream=True).__enter__()\n"
        "lines = kept.iter_lines(); next(lines)"
    ),
    "a run that has not ended": "kept = kaizen.auto.agent_run('run').__enter__()",
}


@pytest.mark.parametrize("collapse", ["true", "false"])
@pytest.mark.parametrize("what", UNFINISHED)
def test_a_call_that_is_open_at_the_exit_is_sent_and_marked(
    what: str, collapse: str, run_agent: RunAgent, collector: Collector
) -> None:
    source = (
        STILL_OPEN
        + UNFINISHED[what]
        + """
import atexit, gc
assert kaizen.auto.flush_traces()
assert kaizen.auto.status().spans.open == 1, kaizen.auto.status()
pipeline = kaizen.auto.tracing.current().pipeline
atexit.unregister(pipeline.exit)
atexit.register(lambda: (pipeline.exit(), print(kaizen.auto.status().spans)))
"""
    )
    process = run_agent(source, teardown=True, KAIZEN_TRACING_COLLAPSE=collapse)
    counts = "SpanCounts(sent=1, queued=0, dropped=0, failed=0, open=0, unfinished=1)\n"
    assert (process.returncode, process.stderr, process.stdout) == (0, "", counts)
    (span,) = collector.spans
    assert span.attributes["kaizen.unfinished"] is True
    assert span.status == "UNSET"
    assert span.kind == "AGENT" or "output.value" in span.attributes


def test_a_forked_child_does_not_end_the_calls_of_its_parent(
    run_agent: RunAgent, collector: Collector
) -> None:
    source = (
        STILL_OPEN
        + """
import os, sys
stream = client.chat.completions.create(**ask, stream=True)
next(stream)
with kaizen.auto.agent_run("run"):
    child = os.fork()
    if child == 0:
        del stream
        assert kaizen.auto.status().spans.open == 0
        kaizen.auto.tracing.current().pipeline.exit()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
list(stream)
"""
    )
    process = run_agent(source)
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted((span.name, span.status) for span in collector.spans) == [
        ("ChatCompletion", "OK"),
        ("run", "OK"),
    ]


def test_workers_forked_by_a_server_that_traced_already_send_their_own(
    run_agent: RunAgent, collector: Collector
) -> None:
    source = """
import kaizen.auto
import os, signal, sys, time

def ask(name):
    with kaizen.auto.agent_run(name): pass

ask("master")
assert kaizen.auto.flush_traces()
ready, tell = os.pipe()
workers = []
for number in range(2):
    worker = os.fork()
    if worker == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        ask("worker")
        os.write(tell, b".")
        time.sleep(60)
    workers.append(worker)
ask("master")
for _ in workers: os.read(ready, 1)
for worker in workers: os.kill(worker, signal.SIGTERM)
assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0]
"""
    process = run_agent(source, teardown=True, OTEL_BSP_SCHEDULE_DELAY="60000")
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert sorted(span.name for span in collector.spans) == ["master", "master", "worker", "worker"]


def test_a_slow_collector_still_gets_the_span_of_a_process_that_ends(run_agent: RunAgent) -> None:
    with Collector(delay_s=0.5) as slow:
        process = run_agent(CALL + "ask()", KAIZEN_TRACING_ENDPOINT=slow.url, OTEL_BSP_SCHEDULE_DELAY="60000")
        assert [span.name for span in slow.spans] == ["call"]
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("bad", ["down", "silent"])
def test_a_bad_collector_delays_the_exit_no_longer_than_allowed(bad: str, run_agent: RunAgent) -> None:
    source = (
        CALL
        + """
import atexit
for _ in range(3): ask()
atexit.register(lambda: print(time.monotonic(), flush=True))
"""
    )
    with Collector(silent=True) as silent:
        process = run_agent(
            source,
            teardown=True,
            KAIZEN_TRACING_ENDPOINT=silent.url if bad == "silent" else f"http://127.0.0.1:{closed_port()}",
            KAIZEN_TRACING_EXIT_TIMEOUT="0.3",
            OTEL_BSP_SCHEDULE_DELAY="60000",
        )
        after = time.monotonic()
    assert process.returncode == 0
    assert process.stderr.count("Spans cannot be sent") <= 1
    # Well below the 7 to 33 seconds of the exporters of OpenTelemetry, well above a busy machine.
    assert after - float(process.stdout) < 5


@pytest.mark.parametrize(("in_outage", "longest_s"), [(False, 2.0), (True, 0.5)])
def test_an_exit_waits_less_than_it_may_take_and_little_in_an_outage(
    in_outage: bool, longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = build(Options(endpoint=f"http://127.0.0.1:{closed_port()}"))
    waits: list[float] = []
    monkeypatch.setattr(pipeline.queue, "flush", waits.append)
    monkeypatch.setattr(pipeline.queue, "_pause_s", 1.0 if in_outage else 0.0)
    pipeline.exit()
    assert longest_s * 0.8 < waits[0] <= longest_s
    assert waits[0] < 2.0


def test_calls_never_wait_for_a_silent_collector(run_agent: RunAgent) -> None:
    source = """
import asyncio, time
import kaizen.auto
from openai import AsyncOpenAI

async def main():
    client = AsyncOpenAI()
    for _ in range(20):
        await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
        )

asyncio.run(main())
queue = kaizen.auto.tracing.current().pipeline.queue
deadline = time.monotonic() + 20
while not queue.last_error and time.monotonic() < deadline: time.sleep(0.01)
print(queue.sent, queue.queued, "timed out" in queue.last_error)
"""
    with Collector(silent=True) as silent:
        process = run_agent(
            source,
            teardown=True,
            KAIZEN_TRACING_ENDPOINT=silent.url,
            KAIZEN_TRACING_EXIT_TIMEOUT="0",
            OTEL_BSP_SCHEDULE_DELAY="10",
        )
        attempts = silent.attempts
    assert process.stdout == "0 20 True\n", process.stderr
    assert process.stderr.count("\n") == 1
    # All calls were made while the first export waited: had they waited for it, there would be more.
    assert attempts <= 2


def test_an_event_loop_is_not_stalled_by_a_bad_collector(run_agent: RunAgent) -> None:
    source = """
import asyncio, time
from openai import AsyncOpenAI
from kaizen import auto

async def ticks(done):
    longest, at = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, at = max(longest, now - at), now
    return longest

async def calls():
    client, done = AsyncOpenAI(), asyncio.Event()
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}] * 5}
    await client.chat.completions.create(**ask)
    ticker = asyncio.create_task(ticks(done))
    for _ in range(5):
        await asyncio.gather(*[client.chat.completions.create(**ask) for _ in range(4)])
    done.set()
    return await ticker

def best():
    return min(asyncio.run(calls()) for _ in range(2))

without = best()
auto.enable_tracing()
traced = best()
queue = auto.tracing.current().pipeline.queue
deadline = time.monotonic() + 20
while not queue.last_error and time.monotonic() < deadline: time.sleep(0.01)
print(int(1000 * without), int(1000 * traced), bool(queue.last_error))
"""
    with Collector(silent=True) as silent:
        for endpoint in (silent.url, f"http://127.0.0.1:{closed_port()}"):
            process = run_agent(
                source,
                enabled=False,
                KAIZEN_TRACING_ENDPOINT=endpoint,
                KAIZEN_TRACING_EXIT_TIMEOUT="0",
                OTEL_BSP_SCHEDULE_DELAY="10",
            )
            assert process.returncode == 0, process.stderr
            without, traced, failed = process.stdout.split()
            assert failed == "True"
            # An export that held the loop up would do so for 500 ms or 2 s, in both tries.
            assert int(traced) < int(without) + 100
