"""The whole loop for every supported agent: run it traced, find its traces in Phoenix, sync, find its tips.

On when `KAIZEN_E2E=true`, as `make test` sets it. With `OPENAI_API_KEY` or `KAIZEN_TIPS_MODEL` set as well,
`KAIZEN_E2E_MODEL=real` runs it with that model instead of the scripted one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.command import kaizen as command_here
from tests.support.polling import wait_until
from tests.support.slow import only_where_slow
from tests.support.spans import read_spans

if TYPE_CHECKING:
    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer

# Read when the module is imported: every test gets a cleared environment.
ENABLED = os.environ.get("KAIZEN_E2E", "").lower() in ("true", "1", "yes", "on")
REAL = os.environ.get("KAIZEN_E2E_MODEL") == "real"
CONFIGURED = {
    name: value
    for name, value in os.environ.items()
    if name.startswith(("OPENAI_", "KAIZEN_")) or name.endswith("_API_KEY")
}

EXAMPLES = Path(__file__).parents[2] / "examples" / "low_code"

pytestmark = [
    pytest.mark.skipif(not ENABLED, reason="the end-to-end tests run with KAIZEN_E2E=true"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def model_environment(model_server: ModelServer) -> dict[str, str]:
    """The variables that say which model answers the agent and the sync."""
    if REAL:
        return CONFIGURED
    return {
        "OPENAI_API_KEY": "scripted",
        "OPENAI_BASE_URL": model_server.base_url,
        "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini",
        "KAIZEN_EXAMPLE_AGENT_MODEL": "openai/gpt-4o",
    }


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


# The script, what goes wrong in it, and the end that shows that it was put right.
AGENTS = {
    "openai": ("simple_openai.py", "date must look like 05JAN26", "The booking code is K7QX2."),
    "litellm": ("litellm_demo.py", "read until a page is empty", "its receipt is F-88."),
    "smolagents": ("smolagents_demo.py", "is over the limit of 70 kg", "to Porto costs 22.00 EUR."),
    "openai_agents": ("openai_agents_demo.py", "call drain_service before a restart", "it is healthy again"),
}


# Two of them always: they take the most of all tests.
ALWAYS = ("openai", "openai_agents")


@pytest.mark.parametrize(
    "agent",
    [name if name in ALWAYS else pytest.param(name, marks=only_where_slow) for name in AGENTS],
)
def test_an_agent_run_becomes_tips(
    agent: str,
    phoenix: PhoenixServer,
    model_server: ModelServer,
    model_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    script, error, end = AGENTS[agent]
    project = f"e2e-{agent}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"

    # 1. Run the example; the import at its top is all that it knows of Kaizen.
    tracing = {
        "KAIZEN_AUTO_ENABLED": "true",
        "KAIZEN_TRACING_PROJECT": project,
        "KAIZEN_TRACING_ENDPOINT": f"{phoenix.url}/v1/traces",
    }
    said = run([sys.executable, str(EXAMPLES / script)], {**model_environment, **tracing})
    assert said.strip()
    if not REAL:
        assert end in " ".join(said.splitlines()[-2:])
        asked = [str(request.body) for request in model_server.requests]
        first = next(number for number, body in enumerate(asked) if error in body)
        assert 0 < first < len(asked) - 1, "the error is told to the model, which then goes on"
        assert {request.body["model"] for request in model_server.requests} == {"gpt-4o"}

    # 2. Its traces are in Phoenix, each with its root, as `curl` would show them.
    def whole() -> list[dict]:
        spans = read_spans(phoenix.url, project)
        traces = {span["context"]["trace_id"] for span in spans}
        rooted = {span["context"]["trace_id"] for span in spans if span["parent_id"] is None}
        return spans if spans and traces == rooted else []

    spans = wait_until(whole, what=f"whole traces of {agent} in Phoenix")
    assert any(span["span_kind"] == "LLM" for span in spans)
    names = [p["name"] for p in httpx.get(f"{phoenix.url}/v1/projects", trust_env=False).json()["data"]]
    assert project in names
    first = httpx.get(f"{phoenix.url}/v1/projects/{project}/spans?limit=5", trust_env=False)
    assert first.json()["data"]

    # 3. Sync them.
    data_dir = tmp_path / "data"
    store = {**model_environment, "KAIZEN_BACKEND": "filesystem", "KAIZEN_DATA_DIR": str(data_dir)}
    kaizen = [sys.executable, "-m", "kaizen.cli"]
    command = [
        *kaizen,
        "sync",
        "phoenix",
        "--url",
        phoenix.url,
        "--project",
        project,
        "--include-errors",
        "--settle",
        "0",
        "--json",
    ]
    report = json.loads(run(command, store))
    assert report["traces"] == len({span["context"]["trace_id"] for span in spans})
    assert sum(report["states"].values()) == report["traces"]
    assert report["states"]["failed"] == 0
    assert report["states"]["learned"] >= 1

    # 4. Tips came out, each with where it came from.
    listing = run([*kaizen, "entities", "list", "kaizen", "--type", "guideline", "--json"], store)
    tips = json.loads(listing)["entities"]
    assert tips
    span_ids = {span["context"]["span_id"] for span in spans}
    for tip in tips:
        metadata = tip["metadata"]
        assert metadata["creation_mode"] == "auto-phoenix"
        assert metadata["source_task_id"] in {span["context"]["trace_id"] for span in spans}
        assert metadata["category"] in ("strategy", "recovery", "optimization")
        if metadata["status"] == "active":
            assert metadata["source_span_id"] in span_ids
    if not REAL:
        assert any(tip["metadata"]["category"] == "recovery" for tip in tips)
        assert all(tip["metadata"]["status"] == "active" for tip in tips)

    # 5. A reader can follow each to the span in Phoenix that holds the quoted words.
    told = {
        span["context"]["span_id"]: (span["context"]["trace_id"], " ".join(json.dumps(span).split()))
        for span in spans
    }
    for tip in tips:
        shown = command_here(
            "entities", "show", "kaizen", tip["id"], "--data-dir", data_dir, "--backend", "filesystem"
        )
        for source in tip["metadata"]["sources"]:
            assert source["url"] in shown.stdout
            if source["span_id"]:
                assert source["url"] == f"{phoenix.url}/redirects/spans/{source['span_id']}"
                trace_id, words = told[source["span_id"]]
                assert trace_id == source["trace_id"]
                assert any(part in words for part in source["quote"].split(chr(34)) if len(part) > 5)
    page = httpx.get(tips[0]["metadata"]["sources"][0]["url"], trust_env=False, follow_redirects=True)
    assert page.status_code == 200
