"""`kaizen sync phoenix` against a real Phoenix and a scripted model: what it reports and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.demo.faults import Fault
from tests.cli.test_commands import assert_documented
from tests.support.command import PROGRAM, kaizen
from tests.support.polling import wait_until
from tests.support.slow import only_where_slow
from tests.support.spans import START, lesson_span, llm_span, make_span, send_spans

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer

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


def sync_json(*options: object, exit_code: int = 0) -> dict[str, Any]:
    ended = kaizen("sync", "phoenix", "--json", *options)
    assert ended.exit_code == exit_code, (ended.stdout, ended.stderr)
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


@only_where_slow
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
        stdout, stderr = process.communicate(timeout=180)
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


def test_traces_that_may_still_run_wait_and_are_said_to(phoenix: PhoenixServer, project: str) -> None:
    fresh = lesson_span("fresh", start=datetime.now(UTC) - timedelta(seconds=2))
    send_spans(phoenix.url, project, [fresh])
    ended = kaizen("sync", "phoenix", "--settle", "10m")
    assert ended.exit_code == 0
    assert "1 may still be running" in ended.stderr
    assert sync_json("--settle", "0")["states"]["learned"] == 1


def test_several_projects_are_synced_in_one_run(
    mixed_project: str, phoenix: PhoenixServer, model_server: ModelServer
) -> None:
    other = f"{mixed_project}-other"
    send_spans(phoenix.url, other, [lesson_span("elsewhere")])
    ended = kaizen("sync", "phoenix", "--json", "--project", mixed_project, "--project", other)
    assert ended.exit_code == 0
    reports = {report["project"]: report["traces"] for report in ended.json["projects"]}
    assert reports == {mixed_project: 5, other: 1}


def test_all_projects_of_the_server_are_synced(
    phoenix: PhoenixServer, project: str, model_server: ModelServer
) -> None:
    # Other tests have projects there too, none with traces of that time.
    send_spans(phoenix.url, project, [lesson_span("mine", start=datetime(2031, 1, 1, tzinfo=UTC))])
    window = ("--since", "2030-01-01", "--until", "2032-01-01")
    ended = kaizen("sync", "phoenix", "--all-projects", *window, "--json")
    assert ended.exit_code == 0
    found = {report["project"]: report["traces"] for report in ended.json["projects"]}
    with httpx.Client(base_url=phoenix.url, trust_env=False) as client:
        named = {one["name"] for one in client.get("/v1/projects", params={"limit": 1000}).json()["data"]}
    assert {project, "default"} <= found.keys() <= named
    assert {name for name, traces in found.items() if traces} == {project}
    assert tips() == ["Remember mine."]


def test_a_window_counts_its_own_traces(mixed_project: str) -> None:
    report = sync_json("--since", (START + timedelta(minutes=1)).isoformat(), "--until", "2026-01-02")
    assert (report["reading"], report["traces"], report["states"]["learned"]) == ("window", 4, 1)


def test_a_window_without_a_trace_is_named(mixed_project: str) -> None:
    ended = kaizen("sync", "phoenix", "--since", "2031-01-01")
    assert f"No trace of project '{mixed_project}' started between --since and --until." in ended.stderr
    assert "no traces yet" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "2026-01-02", "--until", "2026-01-01"], "is not before --until 2026-01-01"),
        (["--watch", "0"], "--watch is 0"),
        (["--watch", "3s", "--dry-run"], "--dry-run"),
    ],
)
def test_what_can_select_or_do_nothing_is_refused(options: list[str], message: str) -> None:
    ended = kaizen("sync", "phoenix", *options)
    assert ended.exit_code == 1
    assert message in ended.error


def test_watching_goes_on_when_the_store_fails(
    mixed_project: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kaizen.cli.sync.rounds import Rounds
    from kaizen.store import StoreSettings, UnavailableError, open_store
    from kaizen.sync import ModelSettings, Report, SyncSettings

    report = Report(run_id="r", source="phoenix", project=mixed_project, namespace_id="kaizen")
    answers: list[Report | Exception] = [UnavailableError("database is locked"), report]
    # A round ends the watch from within, as a signal does.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with open_store(StoreSettings.from_environ(os.environ)) as store:
        rounds = Rounds(store, SyncSettings(), ModelSettings(), quiet=True, annotate=False)

        def sync(_: object) -> Report:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            rounds._stopping.set()
            return answer

        monkeypatch.setattr(rounds, "sync", sync)
        rounds.watch(lambda: [nullcontext], 0.01, json=False)
    said = capsys.readouterr()
    assert "Error: database is locked" in said.err
    assert f"{mixed_project}: 0 traces" in said.out


@pytest.mark.parametrize(
    "options", [["--since", "soon"], ["--settle", "-1"], ["--watch", "often"], ["--max-cost-usd", "-1"]]
)
def test_what_is_no_time_is_refused(options: list[str]) -> None:
    assert kaizen("sync", "phoenix", *options).exit_code == 2


def test_a_dry_run_says_what_would_be_processed_and_calls_no_model(
    mixed_project: str, model_server: ModelServer
) -> None:
    ended = kaizen("sync", "phoenix", "--dry-run", "--json")
    (preview,) = ended.json["previews"]
    assert (len(preview["traces"]), preview["skipped"]) == (3, 2)
    assert preview["prompt_tokens"] == sum(trace["tokens"] for trace in preview["traces"]) > 0
    assert 0 < preview["cost_usd"] < 1
    assert model_server.requests == []
    assert "Nothing was done" in kaizen("sync", "phoenix", "--dry-run").stdout
    assert kaizen("namespaces", "list", "--json").json["namespaces"] == []
    unknown = kaizen("sync", "phoenix", "--dry-run", "--model", "openai/no-such-model").stdout
    assert "price unknown" in unknown
    assert sync_json()["states"]["learned"] == 2


def booking(refused: str, accepted: str, **span: Any) -> dict[str, Any]:
    """A run in which a call failed and, with another spelling, succeeded."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"A train on {refused}."}]
    results = {refused: f"Error: date must look like 05JAN26, got {refused}", accepted: '["EC 51"]'}
    for number, (date, result) in enumerate(results.items()):
        function = {"name": "find_trains", "arguments": json.dumps({"date": date})}
        messages += [
            {"role": "assistant", "tool_calls": [{"id": f"c{number}", "function": function}]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": result},
        ]
    return llm_span(messages, f"It is booked for {accepted}.", **span)


def test_offline_the_same_lesson_of_two_runs_is_one_tip_and_no_model_is_asked(
    phoenix: PhoenixServer, project: str, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [
        booking("2026-03-14", "14MAR26", start=START),
        booking("2026-11-02", "02NOV26", start=START + timedelta(minutes=1)),
    ]
    send_spans(phoenix.url, project, spans)
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "offline")
    monkeypatch.setattr("kaizen.sync.llm.client.import_litellm", lambda: pytest.fail("litellm was imported"))

    (preview,) = kaizen("sync", "phoenix", "--dry-run", "--json").json["previews"]
    report = sync_json("--max-cost-usd", 1)

    assert (preview["model"], preview["prompt_tokens"], preview["cost_usd"]) == ("offline", 0, 0)
    assert report["states"]["learned"] == 2
    assert (report["model"]["calls"], report["model"]["cost_usd"]) == (0, 0)
    assert model_server.requests == []
    (tip,) = kaizen("entities", "list", "kaizen", "--type", "guideline", "--json").json["entities"]
    assert tip["content"].startswith("Write `date` like 05JAN26 when calling `find_trains`")
    metadata = tip["metadata"]
    assert (metadata["support"], metadata["status"], metadata["category"]) == (2, "active", "recovery")
    assert (metadata["model"], metadata["prompt_version"]) == ("offline", "offline-2")
    assert all(source["verified"] and source["span_id"] for source in metadata["sources"])


def test_a_budget_stops_the_run_and_the_next_one_goes_on(
    mixed_project: str, model_server: ModelServer
) -> None:
    report = sync_json("--max-cost-usd", "0", exit_code=0)
    assert report["states"]["deferred"] == 5
    report = sync_json("--max-cost-usd", "0.0000001", "--concurrency", "1")
    assert report["states"]["learned"] == 1
    assert report["model"]["cost_usd"] > 0
    assert sync_json("--max-cost-usd", "1")["states"]["learned"] == 2
    refused = kaizen("sync", "phoenix", "--max-cost-usd", "1", "--model", "openai/no-such-model")
    assert "price of model 'openai/no-such-model' is not known" in refused.error


def test_a_model_that_refuses_stops_the_run_at_once(mixed_project: str, model_server: ModelServer) -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    model_server.fail(Fault(kind="status", status=429, body=body), times=None)
    report = sync_json("--concurrency", "1", exit_code=1)
    assert "quota" in report["refusal"]
    assert len(model_server.requests) == 1
    model_server.heal()
    assert sync_json()["states"]["learned"] == 2


def test_the_status_shows_how_far_syncs_have_come(mixed_project: str, model_server: ModelServer) -> None:
    model_server.fail(Fault(kind="nonsense", contains="LESSON-order"), times=2)
    report = sync_json("--max-attempts", "1", exit_code=1)
    shown = kaizen("sync", "status", "--json").json
    assert_documented("sync status", shown)
    (checkpoint,) = shown["checkpoints"]
    assert checkpoint["states"] == {s: n for s, n in report["states"].items() if n}
    (run,) = shown["runs"]
    assert (run["run_id"], run["model"], run["state"]) == (report["run_id"], report["model"], "ended")
    (failed,) = shown["failed"]
    assert failed["attempts"] == 1
    assert f"failed: trace {failed['trace_id']}" in kaizen("sync", "status").stdout

    # Parked it is listed and not tried; a retry lets the next sync take it.
    parked = sync_json("--max-attempts", "1", exit_code=1)
    assert (parked["reading"], parked["failures"][0]["trace_id"]) == ("nothing", failed["trace_id"])
    retried = kaizen("sync", "retry", failed["trace_id"], "--json").json
    assert_documented("sync retry", retried)
    assert retried["retried"] == [failed["trace_id"]]
    assert sync_json("--max-attempts", "1")["states"]["learned"] == 2
    assert "no failed trace" in kaizen("sync", "retry", failed["trace_id"]).error


def test_a_run_that_was_killed_is_said_to_have_broken_off(
    phoenix: PhoenixServer, project: str, model_server: ModelServer
) -> None:
    send_spans(phoenix.url, project, [lesson_span("patience")])
    model_server.delay_s = 60

    def runs() -> list[dict[str, Any]]:
        ended = kaizen("sync", "status", "--json")
        return ended.json["runs"] if ended.exit_code == 0 else []

    command = [*PROGRAM, "sync", "phoenix"]
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL) as process:
        wait_until(runs, what="the run's record")
        (run,) = runs()
        assert run["state"] == "running"
        process.kill()
    (broken,) = runs()
    assert (broken["run_id"], broken["state"]) == (run["run_id"], "broke off")
    assert "broke off" in kaizen("sync", "status").stdout
    model_server.delay_s = 0
    sync_json()
    assert [one["state"] for one in runs()] == ["broke off", "ended"]


@only_where_slow
def test_watching_goes_on_with_one_line_a_round(mixed_project: str, model_server: ModelServer) -> None:
    command = [*PROGRAM, "sync", "phoenix", "--watch", "0.2s"]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=180)
    assert process.returncode == 0
    assert "5 traces; this round: 2 learned" in lines[0]
    assert "this round: nothing new" in lines[2]


def test_a_sync_with_nothing_new_imports_nothing_heavy(mixed_project: str) -> None:
    sync_json()
    code = (
        "import sys\nfrom kaizen.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code, "sync", "phoenix", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    # Typer itself brings pydantic, and httpx all that it needs for HTTP/2.
    for heavy in ("litellm", "phoenix", "openai", "numpy", "pandas", "rich", "json_repair"):
        assert f"'{heavy}'" not in loaded
    assert '"reading": "nothing"' in done.stdout
