"""Whatever is wrong with recall or its source, the agent makes the calls that it makes without it."""

from __future__ import annotations

import json
import socket
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tests.auto.collector import closed_port
from tests.auto.recalling import TASK, count
from tests.auto.snapshots import HELD_OUT_TIP, LOOKUP, PACKING, TOOL_TIP, document, write_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from tests.auto.collector import Collector
    from tests.auto.conftest import RunAgent

SETUP = f"""
import asyncio, sys, time
import kaizen.auto
from openai import AsyncOpenAI, OpenAI

function = {{"name": "find_trains", "description": "About trains.", "parameters": {{"type": "object"}}}}
tools = [{{"type": "function", "function": function}}]
messages = [{{"role": "user", "content": {TASK!r}}}]
client = OpenAI(max_retries=0)
"""
AGENT = f"""{SETUP}
for _ in range(2):
    answer = client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message
    print(answer.content)
    messages += [{{"role": "assistant", "content": answer.content}}, {{"role": "user", "content": "and?"}}]
stream = client.chat.completions.create(model="m", messages=messages, tools=tools, stream=True)
print([chunk.choices[0].delta.content for chunk in stream if chunk.choices])
client.responses.create(model="m", input="hello", instructions="Be kind.")
try:
    OpenAI(base_url="http://127.0.0.1:9/v1", max_retries=0).responses.create(model="m", input="hello")
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
"""
CALLS = 4
ONE_CALL = f"{SETUP}\nclient.chat.completions.create(model='m', messages=messages, tools=tools)\n"


@pytest.fixture
def without(run_agent: RunAgent, model_server: ModelServer) -> tuple[list[Any], str]:
    """What the model is sent without recall, and what the agent says."""
    ended = run_agent(AGENT)
    assert ended.returncode == 3, ended.stderr
    bodies = bodies_of(model_server)
    assert len(bodies) == CALLS
    model_server.clear()
    return bodies, ended.stdout


def bodies_of(server: ModelServer) -> list[Any]:
    return [request.body for request in server.requests]


FAIL = "def fail(*args, **kwargs): raise RuntimeError('broken')\n"
# Put in front of the agent: what is broken about its environment.
BROKEN = {
    "kaizen-recall is not installed": "import sys; sys.modules['kaizen.recall'] = None",
    "its parts cannot be imported": "import sys; sys.modules['kaizen.recall.frameworks.patches'] = None",
    "reading a request raises": FAIL
    + "import kaizen.recall.frameworks.requests as requests\n"
    + "requests.read_chat = requests.read_responses = fail",
    "finding the run raises": FAIL
    + "import kaizen.recall.frameworks.runs as runs\n"
    + "runs.Runs.of = runs.Runs.answered = fail",
    "choosing raises": FAIL + "import kaizen.recall.recalled as recalled\nrecalled.choose = fail",
    "writing tips raises": FAIL
    + "import kaizen.recall.frameworks.requests as requests\n"
    + "requests.with_tips_in_chat = requests.with_tips_in_responses = fail",
    "the poller raises": FAIL
    + "import kaizen.recall.snapshots.polling as polling\n"
    + "polling.Poller.snapshot = polling.Poller.start = fail",
    "no thread can be started": """
import threading
start = threading.Thread.start
def fail(self):
    if self.name == "kaizen-recall": raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = fail
""",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_changes_no_call(
    what: str,
    run_agent: RunAgent,
    model_server: ModelServer,
    collector: Collector,
    tmp_path: Path,
    without: tuple[list[Any], str],
) -> None:
    ended = run_agent(
        f"{BROKEN[what]}\n{AGENT}",
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert (ended.returncode, ended.stdout) == (3, without[1])
    assert "Traceback" not in ended.stderr
    assert bodies_of(model_server) == without[0]
    # What was not given is not recorded as shown.
    assert collector.spans
    assert not any("kaizen.recall" in str(span.attributes) for span in collector.spans)


@pytest.mark.parametrize("what", ["stamping", "the ids of the answer"])
def test_what_is_broken_around_a_call_leaves_it_its_tips(
    what: str, run_agent: RunAgent, model_server: ModelServer, tmp_path: Path, without: tuple[list[Any], str]
) -> None:
    broken = {
        "stamping": "import kaizen.recall.context as context\ncontext.stamping = fail",
        "the ids of the answer": "import kaizen.recall.frameworks.runs as runs\nruns.Runs.answered = fail",
    }
    ended = run_agent(
        f"{FAIL}{broken[what]}\n{AGENT}",
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, without[1], "")
    assert [count(body, LOOKUP) for body in bodies_of(model_server)] == [1, 1, 1, 0]


BAD_FILES = {
    "garbage": b"\xff\x00 what is this",
    "cut off": document().encode()[:-20],
    "of a later Kaizen": document(schema_version=9).encode(),
    "of another namespace": document(namespace="other").encode(),
    "with a wrong digest": document(digest="0" * 64).encode(),
    "of 100 MB": None,
}


@pytest.mark.parametrize("what", [*BAD_FILES, "missing", "a server that is away", "an odd address"])
def test_a_bad_source_changes_no_call(
    what: str, run_agent: RunAgent, model_server: ModelServer, tmp_path: Path, without: tuple[list[Any], str]
) -> None:
    file = tmp_path / "snapshot.json"
    source = {"a server that is away": f"http://127.0.0.1:{closed_port()}", "an odd address": "http://["}
    if what in BAD_FILES:
        with file.open("wb") as snapshot:
            content = BAD_FILES[what]
            snapshot.truncate(100_000_000) if content is None else snapshot.write(content)
    ended = run_agent(AGENT, KAIZEN_RECALL_ENABLED="true", KAIZEN_RECALL_FROM=source.get(what, str(file)))
    assert (ended.returncode, ended.stdout) == (3, without[1])
    assert ended.stderr.count("Tips cannot be refreshed") == 1
    assert len(ended.stderr.splitlines()) == 1
    assert bodies_of(model_server) == without[0]


def test_a_silent_source_costs_the_first_call_its_time_out_and_no_event_loop(
    run_agent: RunAgent, model_server: ModelServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = run_agent(
            f"""{SETUP}
async def main():
    client, gaps = AsyncOpenAI(), []
    async def watch():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - before)
    await client.models.list()
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    for _ in range(2):
        before = time.monotonic()
        await client.chat.completions.create(model="m", messages=messages, tools=tools)
        print(time.monotonic() - before)
    watching.cancel()
    # A blocked loop would hold for the whole time-out.
    print(max(gaps))

asyncio.run(main())
""",
            KAIZEN_RECALL_ENABLED="true",
            KAIZEN_RECALL_FROM=f"http://127.0.0.1:{silent.getsockname()[1]}",
            KAIZEN_RECALL_TIMEOUT="2",
        )
    assert ended.returncode == 0, ended.stderr
    first, second, gap = map(float, ended.stdout.split())
    assert 1.9 < first < 4
    assert second < 1
    assert gap < 1
    assert not any(count(request.body, "kaizen") for request in model_server.requests)


def test_a_source_that_vanishes_leaves_the_tips_that_it_gave(
    run_agent: RunAgent, model_server: ModelServer, tmp_path: Path
) -> None:
    ended = run_agent(
        f"""{SETUP}
import os
def ask(task):
    client.chat.completions.create(model="m", messages=[{{"role": "user", "content": task}}], tools=tools)
ask("first")
os.remove(os.environ["KAIZEN_RECALL_FROM"])
time.sleep(0.3)
ask("second")
""",
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
        KAIZEN_RECALL_REFRESH="0.05",
    )
    assert ended.returncode == 0, ended.stderr
    assert [count(body, LOOKUP) for body in bodies_of(model_server)] == [1, 1]


def test_a_forked_process_gives_its_calls_tips_too(
    run_agent: RunAgent, model_server: ModelServer, tmp_path: Path
) -> None:
    ended = run_agent(
        f"""{ONE_CALL}
import os
child = os.fork()
OpenAI().chat.completions.create(model="m", messages=messages, tools=tools)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert ended.returncode == 0, ended.stderr
    assert [count(body, LOOKUP) for body in bodies_of(model_server)] == [1, 1, 1]


def test_new_tips_reach_a_task_that_begins_again(
    run_agent: RunAgent, model_server: ModelServer, tmp_path: Path
) -> None:
    newer = write_snapshot(tmp_path / "newer.json", {**TOOL_TIP, "content": "Newer advice."})
    ended = run_agent(
        f"""{SETUP}
import os
def ask(): client.chat.completions.create(model="m", messages=messages, tools=tools)
ask()
ask()
os.replace({str(newer)!r}, os.environ["KAIZEN_RECALL_FROM"])
time.sleep(0.5)
ask()
""",
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
        KAIZEN_RECALL_REFRESH="0.05",
    )
    assert ended.returncode == 0, ended.stderr
    given = [(count(body, LOOKUP), count(body, "Newer advice.")) for body in bodies_of(model_server)]
    assert given == [(1, 0), (1, 0), (0, 1)]


def test_what_is_held_out_is_not_sent_and_the_span_says_so(
    run_agent: RunAgent, model_server: ModelServer, collector: Collector, tmp_path: Path
) -> None:
    ended = run_agent(
        ONE_CALL,
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json", HELD_OUT_TIP)),
    )
    assert ended.returncode == 0, ended.stderr
    assert not count(bodies_of(model_server)[0], "kaizen")
    (span,) = collector.spans
    assert span.attributes["kaizen.recall.shown"] == "[]"
    assert span.attributes["kaizen.recall.held_out"] == '["held-out-tip@3"]'
    # `*` is the share of units that get no tip at all.
    assert json.loads(span.attributes["kaizen.recall.p"]) == {"held-out-tip": 1.0, "*": 0}


def test_calls_in_no_recall_are_left_alone(
    run_agent: RunAgent, model_server: ModelServer, collector: Collector, tmp_path: Path
) -> None:
    source = ONE_CALL.replace(
        "client.chat", "from kaizen.recall import no_recall\nwith no_recall(): client.chat"
    )
    ended = run_agent(
        source,
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert ended.returncode == 0, ended.stderr
    assert not count(bodies_of(model_server)[0], "kaizen")
    assert not any("kaizen.recall" in str(span.attributes) for span in collector.spans)


LOADED = "\nprint(sorted(name for name in sys.modules if name.startswith('kaizen.recall')))\n"


@pytest.mark.parametrize("value", ["", "no", "2"])
def test_without_the_variable_nothing_of_recall_is_loaded(
    value: str, run_agent: RunAgent, model_server: ModelServer
) -> None:
    ended = run_agent(ONE_CALL + LOADED, KAIZEN_RECALL_ENABLED=value)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def test_the_variable_wins_over_code(run_agent: RunAgent, model_server: ModelServer, tmp_path: Path) -> None:
    ended = run_agent(
        f"import kaizen.recall\nassert not kaizen.recall.enable_recall()\n{ONE_CALL}",
        KAIZEN_RECALL_ENABLED="false",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert ended.returncode == 0, ended.stderr
    assert not count(bodies_of(model_server)[0], "kaizen")


# How recall is turned on, and what stands before it.
ORDERS = {
    "without tracing": ("import kaizen.auto", "false"),
    "by itself": ("import kaizen.recall", "true"),
    "by itself, without tracing": ("import kaizen.recall", "false"),
    "after the framework": ("import openai\nimport kaizen.auto", "true"),
    "in code, before tracing": (
        "from kaizen.recall import enable_recall\nassert enable_recall()\nimport kaizen.auto",
        "true",
    ),
    "without kaizen-auto, after the framework": (
        "import sys; sys.modules['kaizen.auto'] = None\nimport openai\nimport kaizen.recall",
        "false",
    ),
    "with tracing turned off and on again": (
        "import kaizen.auto, openai\nkaizen.auto.disable_tracing()\nkaizen.auto.enable_tracing()",
        "true",
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_tips_are_given_however_recall_is_turned_on(
    order: str, run_agent: RunAgent, model_server: ModelServer, collector: Collector, tmp_path: Path
) -> None:
    before, traced = ORDERS[order]
    source = f"{before}\n{ONE_CALL.replace('import kaizen.auto', '')}"
    ended = run_agent(
        source,
        KAIZEN_AUTO_ENABLED=traced,
        KAIZEN_RECALL_ENABLED="" if order.startswith("in code") else "true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert [(count(body, LOOKUP), count(body, PACKING)) for body in bodies_of(model_server)] == [(1, 1)]
    assert [span.attributes["kaizen.recall.shown"] for span in collector.spans] == (
        ['["tool-tip@3","word-tip@1"]'] if traced == "true" else []
    )


def test_the_application_s_own_spans_hold_the_tips_in_their_metadata(
    run_agent: RunAgent, model_server: ModelServer, tmp_path: Path
) -> None:
    source = textwrap.dedent(
        """
        import json
        from openinference.instrumentation import TracerProvider, using_metadata
        from openinference.instrumentation.openai import OpenAIInstrumentor
        from opentelemetry import trace
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        """
    )
    call = ONE_CALL.replace(
        "client.chat",
        "OpenAIInstrumentor().instrument(tracer_provider=provider)\n"
        "with using_metadata({'mine': 'kept'}): client.chat",
    )
    show = "\nprint(*(span.attributes['metadata'] for span in exporter.get_finished_spans()))"
    ended = run_agent(
        source + call + show,
        KAIZEN_RECALL_ENABLED="true",
        KAIZEN_RECALL_FROM=str(write_snapshot(tmp_path / "snapshot.json")),
    )
    assert ended.returncode == 0, ended.stderr
    metadata = json.loads(ended.stdout)
    assert metadata["mine"] == "kept"
    assert metadata["kaizen.recall.shown"] == '["tool-tip@3","word-tip@1"]'
    assert metadata["kaizen.recall.unit"]
