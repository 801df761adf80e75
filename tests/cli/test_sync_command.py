"""`kaizen sync phoenix` against a real Phoenix and a scripted model: what it reports and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.test_commands import assert_documented
from tests.support.command import PROGRAM, kaizen
from tests.support.polling import wait_until
from tests.support.spans import START, lesson_span, llm_span, make_span, send_spans

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.cli.demo.model_server import ModelServer
    from kaizen.cli.demo.phoenix_server import PhoenixServer

STATES = ("learned", "no_lesson", "deferred", "skipped", "failed")


@pytest.fixture(autouse=True)
def settings(
    phoenix: PhoenixServer,
    project: str,
    model_server: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PHOENIX_URL", phoenix.url)
    monkeypatch.setenv("KAIZEN_TRACING_PROJECT", project)
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "openai/gpt-4.1-mini")


@pytest.fixture
def mixed_project(phoenix: PhoenixServer, project: str) -> str:
    """Traces of every kind: two that teach, one that does not, one that failed, one without a model call."""
    question = [{"role": "user", "content": "What is LESSON-failure about?"}]
    spans = [
        lesson_span("patience", start=START),
        lesson_span("order", start=START + timedelta(minutes=1)),
        llm_span([{"role": "user", "content": "Hello."}], "Hi.", start=START + timedelta(minutes=2)),
        llm_span(question, "", start=START + timedelta(minutes=3), status="ERROR", status_message="boom"),
        make_span(name="tick", kind="CHAIN", start=START + timedelta(minutes=4)),
    ]
    send_spans(phoenix.url, project, spans)
    return project


def sync_json(*options: str, exit_code: int = 0) -> dict[str, Any]:
    ended = kaizen("sync", "phoenix", "--json", *options)
    assert ended.exit_code == exit_code, ended
    report: dict[str, Any] = ended.json
    assert_documented("sync phoenix", report)
    assert sum(report["states"].values()) == report["traces"]
    return report


def tips(namespace: str = "kaizen") -> list[str]:
    listed = kaizen("entities", "list", namespace, "--type", "guideline", "--json").json
    return [entity["content"] for entity in listed["entities"]]


def test_the_report_accounts_for_every_trace_of_the_project(
    mixed_project: str, model_server: ModelServer
) -> None:
    report = sync_json()
    assert report["project"] == mixed_project
    assert report["states"] == {"learned": 2, "no_lesson": 1, "deferred": 0, "skipped": 2, "failed": 0}
    assert {"state": "skipped", "reason": "errors excluded", "traces": 1} in report["reasons"]
    assert report["tips"]["created"] == 2
    assert report["model"]["calls"] == len(model_server.requests) >= 3
    assert tips() == ["Remember patience.", "Remember order."]


def test_people_see_a_table_that_adds_up(mixed_project: str) -> None:
    ended = kaizen("sync", "phoenix")
    assert ended.exit_code == 0
    rows = [line.split() for line in ended.stdout.splitlines()]
    assert rows[0] == ["STATE", "TRACES", "THIS", "RUN", "REASONS"]
    counts = {row[0]: (int(row[1]), int(row[2])) for row in rows[1:7]}
    assert tuple(counts) == (*STATES, "all")
    for column in (0, 1):
        assert sum(counts[state][column] for state in STATES) == counts["all"][column] == 5
    assert "Tips: 2 new," in ended.stdout
    assert "errors excluded" in ended.stdout


def test_a_second_sync_makes_no_model_call_and_stores_nothing(
    mixed_project: str, model_server: ModelServer
) -> None:
    first = sync_json()
    before = kaizen("namespaces", "info", "kaizen", "--json").stdout
    model_server.clear()
    second = sync_json()
    assert model_server.requests == []
    assert second["model"]["calls"] == 0
    assert sum(second["processed"].values()) == 0
    assert second["states"] == first["states"]
    assert kaizen("namespaces", "info", "kaizen", "--json").stdout == before


def test_failed_traces_are_left_for_later_until_they_are_asked_for(mixed_project: str) -> None:
    sync_json()
    report = sync_json("--include-errors")
    assert report["states"] == {"learned": 3, "no_lesson": 1, "deferred": 0, "skipped": 1, "failed": 0}
    assert tips() == ["Remember patience.", "Remember order.", "Remember failure."]
    assert sum(sync_json("--include-errors")["processed"].values()) == 0
    assert sum(sync_json()["processed"].values()) == 0


def test_a_limit_counts_traces_oldest_first_and_the_next_sync_goes_on(mixed_project: str) -> None:
    report = sync_json("--limit", "1")
    assert (report["states"]["learned"], report["states"]["deferred"]) == (1, 4)
    assert tips() == ["Remember patience."]
    sync_json("--limit", "1")
    assert tips() == ["Remember patience.", "Remember order."]


def test_a_tip_tells_where_it_came_from(mixed_project: str) -> None:
    sync_json()
    listed = kaizen("entities", "list", "kaizen", "--type", "guideline", "--json").json["entities"]
    metadata = listed[0]["metadata"]
    assert metadata["creation_mode"] == "auto-phoenix"
    assert metadata["category"] == "strategy"
    assert re.fullmatch("[0-9a-f]{32}", metadata["source_task_id"])
    assert re.fullmatch("[0-9a-f]{16}", metadata["source_span_id"])
    (source,) = metadata["sources"]
    assert source["trace_id"] == metadata["source_task_id"]
    assert source["quote"] == "LESSON-patience"
    shown = kaizen("entities", "show", "kaizen", listed[0]["id"]).stdout
    assert f"trace {metadata['source_task_id']} of project {mixed_project}" in shown


def test_options_beat_the_environment(
    mixed_project: str, phoenix: PhoenixServer, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOENIX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("KAIZEN_TRACING_PROJECT", "nowhere")
    monkeypatch.setenv("KAIZEN_NAMESPACE_ID", "nowhere")
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "nonsense")
    options = ["--url", phoenix.url, "--project", mixed_project, "--namespace", "team"]
    report = sync_json(*options, "--model", "openai/gpt-4.1-nano")
    assert (report["namespace"], report["states"]["learned"]) == ("team", 2)
    assert {request.body["model"] for request in model_server.requests} == {"gpt-4.1-nano"}
    assert len(tips("team")) == 2


def test_the_namespace_of_the_environment_is_used(
    mixed_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_NAMESPACE_ID", "team")
    assert sync_json("--limit", "1")["namespace"] == "team"
    assert tips("team") == ["Remember patience."]


def test_interrupted_it_finishes_what_is_under_way_and_the_next_sync_does_the_rest(
    phoenix: PhoenixServer, project: str, model_server: ModelServer
) -> None:
    spans = [lesson_span(f"n{number}", start=START + timedelta(minutes=number)) for number in range(8)]
    send_spans(phoenix.url, project, spans)
    model_server.delay_s = 0.5
    command = [*PROGRAM, "sync", "phoenix", "--json", "--concurrency", "1"]
    with subprocess.Popen(
        command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: model_server.requests, what="the first model call")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Stopping: finishing what is under way." in stderr
    assert "Traceback" not in stderr
    report = json.loads(stdout)
    assert report["stopped"] is True
    learned = report["states"]["learned"]
    assert 1 <= learned < 8
    assert report["states"]["deferred"] == 8 - learned
    assert len(tips()) == learned

    model_server.delay_s = 0.0
    rest = sync_json()
    assert (rest["states"]["learned"], rest["processed"]["learned"]) == (8, 8 - learned)
    assert sorted(tips()) == sorted(f"Remember n{number}." for number in range(8))
