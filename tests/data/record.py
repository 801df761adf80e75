"""Record what the four frameworks really emit, as Phoenix returns it: ``python -m tests.data.record``.

Each example runs twice against the scripted model with ``KAIZEN_AUTO_ENABLED=true``: to its end, and with a
model that refuses to go on once the first tool has failed. Ids, times, ports and paths are made the same for
every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import tempfile
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.demo.model_server import Fault, ModelServer
from kaizen.demo.phoenix_server import PhoenixServer
from tests.support.polling import wait_until
from tests.support.spans import START, read_spans

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).parent / "phoenix"
QUIET_READS = 20

# framework: example, text of the tool's error, distributions whose versions matter
FRAMEWORKS = {
    "openai": ("simple_openai", "date must look like", ("openai", "openinference-instrumentation-openai")),
    "litellm": ("litellm_demo", "shows 3 a page", ("litellm", "openinference-instrumentation-litellm")),
    "smolagents": (
        "smolagents_demo",
        "over the limit of 70 kg",
        ("smolagents", "openai", "openinference-instrumentation-smolagents"),
    ),
    "openai_agents": (
        "openai_agents_demo",
        "call drain_service before",
        ("openai-agents", "openai", "openinference-instrumentation-openai-agents"),
    ),
}


def main() -> None:
    """Record all frameworks, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frameworks", nargs="*", default=list(FRAMEWORKS), help="default: all")
    parser.add_argument("--phoenix", type=Path, default=ROOT / ".venvs/phoenix/bin/phoenix")
    options = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        PhoenixServer(options.phoenix, Path(directory) / "phoenix") as phoenix,
    ):
        for framework in options.frameworks:
            _record(framework, phoenix, Path(directory), failing=False)
            _record(framework, phoenix, Path(directory), failing=True)


def _record(framework: str, phoenix: PhoenixServer, directory: Path, *, failing: bool) -> None:
    example, error, distributions = FRAMEWORKS[framework]
    name = f"{framework}_failed" if failing else framework
    with ModelServer() as model:
        if failing:
            model.fail(Fault(kind="status", status=400, contains=error), times=None)
        ended = subprocess.run(
            [sys.executable, ROOT / "examples/low_code" / f"{example}.py"],
            cwd=directory,
            env={**_environment(directory), **_kaizen(name, phoenix, model)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    if (ended.returncode != 0) != failing:
        raise SystemExit(f"{name} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    spans = _settled_spans(phoenix.url, name)
    recording = {
        "framework": framework,
        "versions": {one: version(one) for one in ("kaizen-auto", "arize-phoenix-otel", *distributions)},
        "spans": _scrubbed(spans),
    }
    file = TARGET / f"{name}.json"
    file.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{file.name}: {len(spans)} spans, {file.stat().st_size // 1000} kB\n")


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    # openai-agents would upload its own traces, and litellm download its price list
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return {**kept, **offline, "HOME": str(directory)}


def _kaizen(project: str, phoenix: PhoenixServer, model: ModelServer) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "scripted",
        "OPENAI_BASE_URL": model.base_url,
        "KAIZEN_EXAMPLE_AGENT_MODEL": "openai/gpt-4.1-mini",
        "KAIZEN_AUTO_ENABLED": "true",
        "KAIZEN_TRACING_PROJECT": project,
        "KAIZEN_TRACING_ENDPOINT": f"{phoenix.url}/v1/traces",
    }


def _settled_spans(phoenix_url: str, project: str) -> list[dict[str, Any]]:
    counts: list[int] = []

    def unchanged() -> bool:
        counts.append(len(read_spans(phoenix_url, project)))
        return counts[-1] > 0 and counts[-QUIET_READS:] == [counts[-1]] * QUIET_READS

    wait_until(unchanged, what=f"the spans of {project} have all arrived", timeout_s=60)
    return read_spans(phoenix_url, project)


def _scrubbed(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spans without a trace of this machine or this moment, except how long things took."""
    numbered: dict[str, str] = {}
    # a parent need not be among the spans: when a run of smolagents raises, its root is never sent
    parents = [span["parent_id"] for span in spans if span["parent_id"]]
    for ids, width in (
        ([span["context"]["trace_id"] for span in spans], 32),
        ([*(span["context"]["span_id"] for span in spans), *parents], 16),
    ):
        numbered |= {one: f"{number:0{width}x}" for number, one in enumerate(dict.fromkeys(ids), start=1)}
    text = json.dumps(spans, ensure_ascii=False)
    for one, replacement in numbered.items():
        text = text.replace(one, replacement)
    for pattern, replacement in _machine():
        text = re.sub(pattern, replacement, text)
    first = min(datetime.fromisoformat(span["start_time"]) for span in spans)
    return [
        _moved({**span, "id": f"Span:{number}"}, START - first)
        for number, span in enumerate(json.loads(text), start=1)
    ]


def _machine() -> list[tuple[str, str | Callable[[re.Match[str]], str]]]:
    paths = sysconfig.get_paths()
    agents_ids: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return agents_ids.setdefault(match[0], f"{match[1]}_{len(agents_ids) + 1:0{len(match[2])}x}")

    return [
        (re.escape(paths["purelib"]), "site-packages"),
        (re.escape(paths["stdlib"]), "python"),
        (re.escape(str(ROOT)) + "/", ""),
        (rf"\b{re.escape(socket.gethostname())}\b", "localhost"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:8000"),
        (r"\b0x[0-9a-f]{8,}", "0x0"),
        (r"\b(trace|span|group)_([0-9a-f]{24,32})\b", numbered),
    ]


def _moved(span: dict[str, Any], by: timedelta) -> dict[str, Any]:
    def move(moment: str) -> str:
        return (datetime.fromisoformat(moment) + by).isoformat()

    events = [{**event, "timestamp": move(event["timestamp"])} for event in span["events"]]
    times = {"start_time": move(span["start_time"]), "end_time": move(span["end_time"])}
    return {**span, **times, "events": events}


if __name__ == "__main__":
    main()
