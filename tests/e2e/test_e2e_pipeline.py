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

from kaizen.cli.demo.model_server import ModelServer
from tests.support.polling import wait_until
from tests.support.spans import read_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.cli.demo.phoenix_server import PhoenixServer

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
def model_environment() -> Iterator[dict[str, str]]:
    """The variables that say which model answers the agent and the sync."""
    if REAL:
        yield CONFIGURED
        return
    with ModelServer() as server:
        yield {
            "OPENAI_API_KEY": "scripted",
            "OPENAI_BASE_URL": server.base_url,
            "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini",
        }


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("agent", "script"),
    [
        pytest.param("openai", "simple_openai.py", id="openai"),
        pytest.param("litellm", "litellm_demo.py", id="litellm"),
        pytest.param("smolagents", "smolagents_demo.py", id="smolagents"),
        pytest.param("openai-agents", "openai_agents_demo.py", id="openai_agents"),
    ],
)
def test_an_agent_run_becomes_tips(
    agent: str, script: str, phoenix: PhoenixServer, model_environment: dict[str, str], tmp_path: Path
) -> None:
    project = f"e2e-{agent}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"

    # 1. Run the example; the import at its top is all that it knows of Kaizen.
    tracing = {
        "KAIZEN_AUTO_ENABLED": "true",
        "KAIZEN_TRACING_PROJECT": project,
        "KAIZEN_TRACING_ENDPOINT": f"{phoenix.url}/v1/traces",
    }
    said = run([sys.executable, str(EXAMPLES / script)], {**model_environment, **tracing})
    assert said.strip()

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
    store = {**model_environment, "KAIZEN_BACKEND": "filesystem", "KAIZEN_DATA_DIR": str(tmp_path / "data")}
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
