"""What `kaizen.auto.status()` and `python -m kaizen.auto` say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from kaizen import auto
from kaizen.auto.__about__ import __version__
from tests.auto.collector import Collector, closed_port

if TYPE_CHECKING:
    import pytest

    from tests.auto.conftest import RunAgent


def report(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kaizen.auto", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_enabled_machine_with_a_collector(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    monkeypatch.setenv("KAIZEN_AUTO_ENABLED", "true")
    monkeypatch.setenv("KAIZEN_TRACING_ENDPOINT", collector.url)
    monkeypatch.setenv("KAIZEN_TRACING_PROJECT", "reported")
    ended = report("--json")
    said = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (said["version"], said["state"], said["project"]) == (__version__, "waiting", "reported")
    assert said["endpoint"] == f"{collector.url}/v1/traces"
    assert said["collector"] == {"answers": True, "detail": "takes spans"}
    frameworks = {framework["name"]: framework for framework in said["frameworks"]}
    assert list(frameworks) == ["openai", "litellm", "smolagents", "openai_agents"]
    assert all(
        framework["version"] and framework["instrumentor_version"] for framework in frameworks.values()
    )
    assert not any(framework["imported"] for framework in frameworks.values())


def test_an_enabled_machine_without_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_AUTO_ENABLED", "true")
    monkeypatch.setenv("KAIZEN_TRACING_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    ended = report()
    assert ended.returncode == 1
    assert "FAILS" in ended.stdout
    assert "phoenix serve" in ended.stdout
    assert ended.stderr == ""


def test_headers_that_are_meant_for_another_host_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    monkeypatch.setenv("KAIZEN_TRACING_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    ended = report()
    assert "OTEL_EXPORTER_OTLP_HEADERS is not sent" in ended.stdout
    assert "secret" not in ended.stdout


def test_a_machine_where_it_is_off() -> None:
    status = auto.status()
    assert (status.state, status.reason) == ("off", "KAIZEN_AUTO_ENABLED is not set")
    assert (status.project, status.endpoint) == ("kaizen-agent", "http://localhost:6006/v1/traces")


def test_counts_of_a_running_agent(run_agent: RunAgent) -> None:
    ended = run_agent("""
        import kaizen.auto as auto
        assert auto.status().state == "waiting"
        from openai import OpenAI
        OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
        assert auto.flush_traces()
        status = auto.status()
        assert (status.state, status.reason) == ("tracing", None)
        print(status.spans, [one.name for one in status.frameworks if one.traced and one.imported])
    """)
    assert (
        ended.stdout == "SpanCounts(sent=1, queued=0, dropped=0, failed=0, open=0, unfinished=0) ['openai']\n"
    ), ended.stderr


def test_it_says_whether_agents_are_given_tips(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "off: set KAIZEN_RECALL_ENABLED=true" in _recall_line()
    monkeypatch.setenv("KAIZEN_RECALL_ENABLED", "true")
    assert "python -m kaizen.recall" in _recall_line()


def _recall_line() -> str:
    (line,) = (line for line in report().stdout.splitlines() if line.startswith("  recall "))
    return line
