"""The loop with its proof: a run teaches a tip, half of later runs get it, and traces say what it does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import ModelServer, Scenarios
from kaizen.store import StoreSettings, open_store
from kaizen.sync.proof.verdicts import MIN_UNITS_A_SIDE
from kaizen.sync.state.exposures import EXPOSURE
from tests.support.command import PROGRAM, kaizen
from tests.support.polling import wait_until
from tests.support.slow import only_where_slow
from tests.support.spans import read_spans, trace_ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.phoenix_server import PhoenixServer

pytestmark = pytest.mark.timeout(240)

RUNS = 60
REFUSAL = "no timetable for this date"
NOTE = "[kaizen] "


def search(date: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": "find_trains", "arguments": {"origin": "Basel", "date": date}}]}


# A model that tries another form when it is refused, unless it is told the right one.
STEPS = [
    {**search("2026-03-14"), "unless_told": "05JAN26"},
    search("14MAR26"),
    {"tool_calls": [{"name": "book_train", "arguments": {"train": "EC 51"}}]},
    {"text": "Your seat is booked, the booking code is K7QX2."},
]
AGENTS = {"agents": [{"name": "train", "when": {"tools": ["find_trains"]}, "steps": STEPS}]}

# `run()` traces one run.
AGENT = r"""
import json, re, sys

def called(name, arguments):
    if name == "find_trains" and not re.fullmatch(r"\d\d[A-Z]{3}\d\d", arguments["date"]):
        return "Error: " + sys.argv[2]
    return "EC 51 leaves at 06:28" if name == "find_trains" else "Booked EC 51, booking code K7QX2."

def tool(name, *parameters):
    shape = {"type": "object", "properties": {one: {"type": "string"} for one in parameters}}
    function = {"name": name, "description": "About trains.", "parameters": shape}
    return {"type": "function", "function": function}

client, tools = OpenAI(), [tool("find_trains", "origin", "date"), tool("book_train", "train")]
for number in range(int(sys.argv[1])):
    with run():
        messages = [{"role": "user", "content": f"Book the earliest train for passenger {number}."}]
        while True:
            ask = {"model": f"run-{number}", "messages": messages, "tools": tools}
            answer = client.chat.completions.create(**ask).choices[0].message
            messages.append(answer.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
            if not answer.tool_calls:
                break
            for one in answer.tool_calls:
                result = called(one.function.name, json.loads(one.function.arguments))
                messages.append({"role": "tool", "tool_call_id": one.id, "content": result})
"""
BY_KAIZEN = f"""
import kaizen.auto
from openai import OpenAI
run = lambda: kaizen.auto.agent_run("booker")
{AGENT}"""
BY_THE_APPLICATION = f"""
import os
import kaizen.auto
from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from phoenix.otel import register

endpoint, project = os.environ["PHOENIX_COLLECTOR_ENDPOINT"], os.environ["KAIZEN_TRACING_PROJECT"]
provider = register(endpoint=endpoint, project_name=project, batch=True, verbose=False)
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("booker")
run = lambda: tracer.start_as_current_span("booker", openinference_span_kind="agent")
{AGENT}
provider.force_flush()"""


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    with ModelServer(scenarios=Scenarios.from_json(AGENTS)) as server:
        yield server


@pytest.fixture(autouse=True)
def environ(
    phoenix: PhoenixServer, project: str, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the agents and the sync know: where Phoenix and the model are."""
    given = {
        "KAIZEN_TRACING_PROJECT": project,
        "KAIZEN_TRACING_ENDPOINT": f"{phoenix.url}/v1/traces",
        "PHOENIX_COLLECTOR_ENDPOINT": f"{phoenix.url}/v1/traces",
        "PHOENIX_URL": phoenix.url,
        "OPENAI_BASE_URL": model_server.base_url,
        "OPENAI_API_KEY": "scripted",
        "KAIZEN_TIPS_MODEL": "offline",
        "KAIZEN_EMBEDDER": "none",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def run_agent(source: str, runs: int, phoenix_url: str, project: str, **environ: str) -> None:
    """Let the agent run so many times, and wait until all its traces are in Phoenix."""
    before = len(trace_ids(read_spans(phoenix_url, project)))
    ended = subprocess.run(
        [sys.executable, "-c", source, str(runs), REFUSAL],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    wait_until(
        lambda: len(trace_ids(roots(phoenix_url, project))) == before + runs,
        what="the traces in Phoenix",
        timeout_s=30,
        every_s=0.3,
    )


def roots(phoenix_url: str, project: str) -> list[dict[str, Any]]:
    return [span for span in read_spans(phoenix_url, project) if span["parent_id"] is None]


def sync(data_dir: Path, *options: object) -> dict[str, Any]:
    command = ("sync", "phoenix", "--data-dir", data_dir, "--settle", "0", "--json", *options)
    ended = kaizen(*command)
    assert ended.exit_code == 0, ended
    found: dict[str, Any] = ended.json
    return found


def sync_and_kill(data_dir: Path, *options: str) -> None:
    """Kill a sync when it has recorded some runs, but not all."""
    command = [*PROGRAM, "sync", "phoenix", "--data-dir", str(data_dir), "--settle", "0", *options]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        open_store(StoreSettings(data_dir=data_dir, embedder="none")) as store,
    ):
        wait_until(lambda: store.count("kaizen", type=EXPOSURE) >= 3, what="a few runs recorded")
        process.kill()


def proof(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = kaizen("proof", "--data-dir", data_dir, "--json").json
    return found


def runs_told_and_refused(model_server: ModelServer) -> tuple[set[str], set[str], set[str]]:
    """All runs as the model saw them, those that were given the tip, and those that were refused a call."""
    bodies = [request.body for request in model_server.requests]
    told = {body["model"] for body in bodies if NOTE in json.dumps(body["tools"])}
    refused = {body["model"] for body in bodies if f"Error: {REFUSAL}" in json.dumps(body["messages"])}
    return {body["model"] for body in bodies}, told, refused


@pytest.mark.parametrize(
    ("source", "traced"),
    [
        pytest.param(BY_KAIZEN, "true", id="traced by Kaizen"),
        pytest.param(
            BY_THE_APPLICATION,
            "",
            id="by the application",
            marks=only_where_slow,
        ),
    ],
)
def test_what_a_tip_does_is_known_from_the_traces_alone(
    source: str,
    traced: str,
    phoenix: PhoenixServer,
    project: str,
    model_server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 1. One run, and what it teaches: a candidate, since no other has shown it yet.
    data_dir, snapshot = tmp_path / "data", tmp_path / "tips.json"
    run_agent(source, 1, phoenix.url, project, KAIZEN_AUTO_ENABLED=traced)
    sync(data_dir)
    monkeypatch.setenv("KAIZEN_RECALL_TRY", "true")
    exported = kaizen("tips", "export", "--format", "recall", "-o", snapshot, "--data-dir", data_dir)
    assert exported.exit_code == 0, exported
    [served] = json.loads(snapshot.read_text())["tips"]
    assert (served["tool"], served["p"]) == ("find_trains", 0.5)
    first = tmp_path / "first"
    shutil.copytree(data_dir, first)

    # 2. Runs, of which half are shown it.
    model_server.clear()
    recall = {"KAIZEN_RECALL_ENABLED": "true", "KAIZEN_RECALL_FROM": str(snapshot)}
    recall |= {"KAIZEN_RECALL_HOLDOUT": "0.5", "KAIZEN_RECALL_TIMEOUT": "20"}
    run_agent(source, RUNS, phoenix.url, project, KAIZEN_AUTO_ENABLED=traced, **recall)
    runs, shown, refused = runs_told_and_refused(model_server)
    assert (len(runs), refused) == (RUNS, runs - shown)

    # 3. The sync reads who was shown what.
    report = sync(data_dir)
    assert (report["traces"], report["states"]["failed"]) == (RUNS + 1, 0)
    found = proof(data_dir)
    assert (found["units"], found["traces"]) == (RUNS, RUNS)
    [tip] = found["tips"]
    without_any = found["total"]["held_out"]
    assert tip["id"] == served["id"]
    assert (tip["shown"], tip["held_out"]) == (len(shown), RUNS - len(shown) - without_any)
    by_signature = tip["estimates"]["signature"]
    assert (by_signature["rate_shown"], by_signature["rate_held_out"]) == (1.0, 0.0)
    is_enough = min(tip["shown"], tip["held_out"]) >= MIN_UNITS_A_SIDE
    assert tip["verdict"]["name"] == ("helps" if is_enough else "open")

    # 4. Neither reading all again changes a number, nor the later half first by a sync that is killed.
    sync(data_dir, "--full")
    assert proof(data_dir) == found
    began = sorted(span["start_time"] for span in roots(phoenix.url, project))
    sync_and_kill(first, "--since", began[RUNS // 2])
    sync(first)
    assert proof(first) == found
