"""The sync as a whole, against a real Phoenix and the scripted model."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from kaizen.demo.faults import Fault
from kaizen.sync import PhoenixSettings, PhoenixSource, SourceError
from kaizen.sync.generate.generate import generate_tips
from tests.support.spans import START, lesson_span, llm_span, make_span, send_spans, trace_ids
from tests.support.syncing import make_sync, open_data_dir, records, run_sync, snapshot, tips

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer


def failed_root(word: str) -> list[dict]:
    """A trace whose agent raised, as frameworks leave it: an ERROR root over a normal call."""
    trace_id, root_id = secrets.token_hex(16), secrets.token_hex(8)
    return [
        make_span(
            name="agent",
            kind="AGENT",
            trace_id=trace_id,
            span_id=root_id,
            status="ERROR",
            status_message="ValueError: boom",
        ),
        lesson_span(word, trace_id=trace_id, parent_id=root_id),
    ]


def running(word: str) -> dict:
    """A span whose parent has not arrived, ended a moment ago."""
    return lesson_span(word, parent_id=secrets.token_hex(8), start=datetime.now(UTC) - timedelta(seconds=2))


def phoenix_own_count(phoenix_url: str, project: str) -> int:
    """How many traces Phoenix lists of a project."""
    with httpx.Client(base_url=f"{phoenix_url}/v1/projects/{project}", trust_env=False) as client:
        page = client.get("/traces", params={"limit": 1000}).raise_for_status().json()
    assert page["next_cursor"] is None
    return len(page["data"])


def test_every_trace_ends_in_one_state_and_the_counts_add_up_to_phoenix_own(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    spans = [
        lesson_span("ordinary"),
        llm_span([{"role": "user", "content": "hi"}], "hello"),
        *failed_root("failing"),
        make_span(kind="CHAIN", name="no model here"),
        make_span(kind="LLM", attributes={"some.foreign.key": "x"}),
        running("running"),
        lesson_span("unlucky"),
    ]
    send_spans(phoenix.url, project, spans)
    scripted.fail(Fault(kind="nonsense", contains="LESSON-unlucky"), times=None)
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.to_json()["states"] == {
        "learned": 1,
        "no_lesson": 1,
        "deferred": 1,
        "skipped": 3,
        "failed": 1,
    }
    assert report.traces == phoenix_own_count(phoenix.url, project) == len(trace_ids(spans)) == 7
    # One that only looks at what is new counts the others from the store.
    again = run_sync(phoenix.url, project, tmp_path)
    assert (again.reading, again.traces) == ("recent", 7)
    reasons = {(r["state"], r["reason"]) for r in report.to_json()["reasons"]}
    assert {
        ("deferred", "still running"),
        ("skipped", "errors excluded"),
        ("skipped", "no LLM span"),
        ("skipped", "unknown shape"),
    } <= reasons
    skipped = [r["reason"] for r in records(tmp_path).values() if r["reason"].startswith("unknown")]
    assert skipped == ["unknown shape: some.foreign.key"]


def test_a_second_sync_makes_no_model_call_and_stores_nothing(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("one"), lesson_span("two")])
    run_sync(phoenix.url, project, tmp_path)
    with open_data_dir(tmp_path) as store:
        version = store.get_namespace("kaizen").version
    scripted.clear()
    report = run_sync(phoenix.url, project, tmp_path)
    assert scripted.requests == []
    assert report.states["learned"] == 2
    assert report.processed.total() == 0
    with open_data_dir(tmp_path) as store:
        assert store.get_namespace("kaizen").version == version


def test_a_tip_tells_where_it_came_from(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    span = lesson_span("provenance")
    send_spans(phoenix.url, project, [span])
    run_sync(phoenix.url, project, tmp_path)
    tip = tips(tmp_path)["Remember provenance."]
    ids = span["context"]
    assert tip["creation_mode"] == "auto-phoenix"
    assert tip["source_task_id"] == ids["trace_id"]
    assert tip["source_span_id"] == ids["span_id"]
    assert tip["category"] in ("strategy", "recovery", "optimization")
    assert tip["status"] == "active"
    assert tip["model"] == "openai/gpt-4.1-mini"
    assert tip["prompt_version"]
    (source,) = tip["sources"]
    assert source["quote"] == "LESSON-provenance"
    answer = httpx.get(source["url"], trust_env=False)
    assert answer.status_code == 200
    assert ids["span_id"] in source["url"]


def test_a_trace_that_grew_replaces_what_it_taught(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    first, other = lesson_span("first"), lesson_span("shared")
    send_spans(phoenix.url, project, [first, other])
    run_sync(phoenix.url, project, tmp_path)
    assert set(tips(tmp_path)) == {"Remember first.", "Remember shared."}
    # A later call of the same conversation: the whole story now holds a second lesson.
    late = llm_span(
        [
            {"role": "user", "content": "What is LESSON-first about?"},
            {"role": "assistant", "content": "About first."},
            {"role": "user", "content": "And LESSON-shared?"},
        ],
        "The same.",
        trace_id=first["context"]["trace_id"],
        start=START + timedelta(seconds=5),
    )
    send_spans(phoenix.url, project, [late])
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.processed["learned"] == 1
    found = tips(tmp_path)
    assert set(found) == {"Remember first.", "Remember shared."}
    assert found["Remember first."]["support"] == 1
    assert found["Remember shared."]["support"] == 2
    with open_data_dir(tmp_path) as store:
        assert store.count("kaizen", type="guideline") == 2


def test_a_tip_that_a_grown_trace_no_longer_teaches_goes(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    span = lesson_span("early")
    send_spans(phoenix.url, project, [span])
    run_sync(phoenix.url, project, tmp_path)
    scripted.fail(
        Fault(
            kind="status",
            status=200,
            contains="LESSON-early",
            body={"choices": [{"message": {"role": "assistant", "content": '{"tips": []}'}}]},
        )
    )
    late = make_span(
        kind="TOOL", name="x", trace_id=span["context"]["trace_id"], parent_id=span["context"]["span_id"]
    )
    send_spans(phoenix.url, project, [late])
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.tips["removed"] == 1
    assert tips(tmp_path) == {}
    with open_data_dir(tmp_path) as store:
        (record,) = store.iterate("kaizen", type="trajectory")
        assert record.metadata["state"] == "no_lesson"


def test_support_counts_distinct_traces(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("same") for _ in range(3)])
    report = run_sync(phoenix.url, project, tmp_path)
    run_sync(phoenix.url, project, tmp_path)
    (tip,) = tips(tmp_path).values()
    assert tip["support"] == len({source["trace_id"] for source in tip["sources"]}) == 3
    assert (report.tips["created"], report.tips["duplicates"]) == (1, 2)


def test_failed_traces_are_left_for_later_and_taken_with_include_errors(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, failed_root("oops"))
    assert run_sync(phoenix.url, project, tmp_path).states["skipped"] == 1
    assert scripted.requests == []
    report = run_sync(phoenix.url, project, tmp_path, include_errors=True)
    assert report.processed["learned"] == 1
    (source,) = tips(tmp_path)["Remember oops."]["sources"]
    assert source["outcome"] == "failure"
    assert "boom" in scripted.requests[-1].body["messages"][1]["content"]
    # Without the flag again, what was learned stays learned.
    assert run_sync(phoenix.url, project, tmp_path).states["learned"] == 1


def test_a_trace_whose_generation_failed_is_taken_up_by_the_next_sync(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("late"), lesson_span("fine")])
    scripted.fail(Fault(kind="nonsense", contains="LESSON-late"), times=2)
    report = run_sync(phoenix.url, project, tmp_path)
    assert (report.states["learned"], report.states["failed"]) == (1, 1)
    assert report.failures[0].attempts == 1
    report = run_sync(phoenix.url, project, tmp_path)
    assert (report.states["learned"], report.states["failed"]) == (2, 0)
    assert set(tips(tmp_path)) == {"Remember late.", "Remember fine."}


def test_a_trace_that_always_fails_is_given_up_and_still_counted(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("never")])
    scripted.fail(Fault(kind="empty"), times=None)
    for attempt in (1, 2):
        report = run_sync(phoenix.url, project, tmp_path, max_attempts=2)
        assert report.failures[0].attempts == attempt
    scripted.clear()
    report = run_sync(phoenix.url, project, tmp_path, max_attempts=2)
    assert scripted.requests == []
    assert report.states["failed"] == 1
    assert "given up" in report.failures[0].reason


def test_a_model_that_refuses_every_call_is_asked_only_once_and_fails_no_trace_for_good(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span(f"w{i}") for i in range(10)])
    scripted.fail(Fault(kind="status", status=401), times=None)
    report = run_sync(phoenix.url, project, tmp_path, concurrency=1)
    assert report.states["deferred"] == report.traces == 10
    assert "refuses the key" in report.refusal
    assert len(scripted.requests) == 1
    assert records(tmp_path) == {}
    scripted.heal()
    assert run_sync(phoenix.url, project, tmp_path).states["learned"] == 10


def test_a_model_that_refuses_to_compare_ends_the_run_as_well(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    spans = [lesson_span(f"w{i}", start=START + timedelta(minutes=i)) for i in range(10)]
    send_spans(phoenix.url, project, spans)
    scripted.fail(Fault(kind="status", status=401, schema="kaizen_reconcile"), times=None)
    # Any real model takes longer than the commit of the first trace, after which the next ones are compared.
    scripted.delay_s = 0.2
    report = run_sync(phoenix.url, project, tmp_path, concurrency=1)
    assert (report.states["learned"], report.states["deferred"], report.traces) == (1, 9, 10)
    assert "refuses the key" in report.refusal
    asked = [request.schema_name for request in scripted.requests]
    assert asked.count("kaizen_reconcile") == 1
    assert asked.count("kaizen_tips") <= 3, "the next one may be under way"
    scripted.heal()
    assert run_sync(phoenix.url, project, tmp_path).states["learned"] == 10


def test_the_next_traces_are_under_way_while_the_slowest_of_the_last_ones_is(
    phoenix: PhoenixServer,
    project: str,
    scripted: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kaizen.sync.run.pipeline._BATCH", 1)
    spans = [lesson_span(f"n{i}", start=START + timedelta(minutes=i)) for i in range(6)]
    send_spans(phoenix.url, project, spans)
    together = threading.Barrier(3)

    def generate(*args):
        together.wait(timeout=20)
        return generate_tips(*args)

    monkeypatch.setattr("kaizen.sync.run.generation.generate_tips", generate)
    assert run_sync(phoenix.url, project, tmp_path, concurrency=3).states == {"learned": 6}


def test_how_much_is_done_is_told_while_a_sync_runs(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    spans = [lesson_span(f"n{i}", start=START + timedelta(minutes=i)) for i in range(5)]
    send_spans(phoenix.url, project, spans)

    def shares(**settings):
        told = []
        where = PhoenixSettings(base_url=phoenix.url, project=project)
        with PhoenixSource(where) as source, open_data_dir(tmp_path) as store:
            sync = make_sync(source, store, **settings)
            sync._progress = lambda report: told.append(report.share)
            sync.run()
        return told

    assert shares(limit=2) == [0.5, 1.0]
    assert shares() == [0.0, 0.5, 1.0]


def test_limit_counts_traces_oldest_first_and_the_rest_wait(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    spans = [lesson_span(f"n{i}", start=START + timedelta(minutes=i)) for i in range(5)]
    send_spans(phoenix.url, project, spans[::-1])
    report = run_sync(phoenix.url, project, tmp_path, limit=2)
    assert (report.states["learned"], report.states["deferred"], report.traces) == (2, 3, 5)
    assert set(tips(tmp_path)) == {"Remember n0.", "Remember n1."}
    run_sync(phoenix.url, project, tmp_path, limit=2)
    assert run_sync(phoenix.url, project, tmp_path, limit=2).states["learned"] == 5


def test_concurrency_does_not_change_what_is_stored(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    words = ["alpha", "beta", "alpha", "gamma", "beta", "delta", "alpha"]
    spans = [lesson_span(word, start=START + timedelta(minutes=i)) for i, word in enumerate(words)]
    send_spans(phoenix.url, project, spans)
    run_sync(phoenix.url, project, tmp_path / "one", concurrency=1)
    run_sync(phoenix.url, project, tmp_path / "many", concurrency=8)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "many")


def test_no_more_calls_are_under_way_than_allowed_and_tips_are_compared_meanwhile(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    words = [f"n{number}" for number in range(20)]
    spans = [lesson_span(word, start=START + timedelta(minutes=i)) for i, word in enumerate(words)]
    send_spans(phoenix.url, project, spans)
    scripted.delay_s = 0.2
    run_sync(phoenix.url, project, tmp_path / "many", concurrency=4)
    compared = [request for request in scripted.requests if request.schema_name == "kaizen_reconcile"]
    starts = sorted(request.at for request in scripted.requests)
    # Each is under way for as long as the model takes.
    under_way = [sum(at - 0.2 < start <= at for start in starts) for at in starts]

    assert max(under_way) <= 4
    assert 10 <= len(compared) <= 19, "once for each that is alike to others"
    both = [two for one in compared for two in compared if one.at - 0.2 < two.at < one.at]
    assert len(both) >= len(compared) // 2, "they are asked side by side"
    run_sync(phoenix.url, project, tmp_path / "one", concurrency=1)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "many")


def test_a_trace_without_a_root_waits_for_so_long_and_no_longer(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [running("rootless")])
    assert run_sync(phoenix.url, project, tmp_path).states["deferred"] == 1
    assert run_sync(phoenix.url, project, tmp_path, max_wait_s=1.0).states["learned"] == 1


def test_a_trace_whose_root_has_just_ended_waits_for_quiet(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span("fresh", start=datetime.now(UTC) - timedelta(seconds=2))])
    assert run_sync(phoenix.url, project, tmp_path, quiet_s=600.0).states["deferred"] == 1
    assert run_sync(phoenix.url, project, tmp_path, quiet_s=0.5).states["learned"] == 1


def test_secrets_reach_neither_the_model_nor_the_store(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    secret = "sk-proj-Abc123Abc123Abc123Abc123Abc123Abc123"
    span = llm_span([{"role": "user", "content": f"my key is {secret}, see LESSON-secret"}], f"got {secret}")
    send_spans(phoenix.url, project, [span])
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.redacted.total() == 2
    assert report.states["learned"] == 1
    assert secret not in str([request.body for request in scripted.requests])
    stored = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored
    assert not any(secret in text for text in stored)


def test_a_tip_whose_quote_is_not_in_the_trace_is_quarantined(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    invented = (
        '{"tips": [{"content": "Trust me.", "category": "strategy", "rationale": "r", "trigger": "t", '
        '"implementation_steps": ["s"], "task_description": "d", "quote": "never said"}]}'
    )
    send_spans(phoenix.url, project, [lesson_span("honest")])
    body = {"choices": [{"message": {"role": "assistant", "content": invented}}]}
    scripted.fail(Fault(kind="status", status=200, body=body))
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.tips["quarantined"] == 1
    tip = tips(tmp_path)["Trust me."]
    assert tip["status"] == "quarantined"
    assert "quote" in tip["quarantine_reason"]


def test_a_stopped_sync_commits_what_is_under_way_and_counts_the_rest(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, [lesson_span(f"s{i}") for i in range(6)])
    where = PhoenixSettings(base_url=phoenix.url, project=project)
    with PhoenixSource(where) as source, open_data_dir(tmp_path) as store:
        sync = make_sync(source, store, concurrency=1)
        sync._progress = lambda _: sync.stop()
        report = sync.run()
    assert report.stopped
    assert report.traces == 6
    assert report.states["learned"] >= 1
    assert report.states["learned"] + report.states["deferred"] == 6
    assert run_sync(phoenix.url, project, tmp_path).states["learned"] == 6


def test_two_syncs_at_once_lose_nothing_and_double_nothing(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, backend: str
) -> None:
    spans = [lesson_span(f"word{i % 4}", start=START + timedelta(minutes=i)) for i in range(12)]
    send_spans(phoenix.url, project, spans)
    reports = []
    threads = [
        threading.Thread(
            target=lambda: reports.append(
                run_sync(phoenix.url, project, tmp_path / "both", backend=backend, concurrency=2)
            )
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=180)
    # Each counts every trace, in the state in which it saw it; none is worked on by both.
    assert [report.traces for report in reports] == [12, 12]
    assert sum(report.processed["learned"] for report in reports) == 12
    assert len([r for r in scripted.requests if r.schema_name == "kaizen_tips"]) == 12
    assert run_sync(phoenix.url, project, tmp_path / "both", backend=backend).states["learned"] == 12
    run_sync(phoenix.url, project, tmp_path / "alone", backend=backend)
    both, alone = (snapshot(tmp_path / name, backend) for name in ("both", "alone"))
    assert both.keys() == alone.keys()
    for key in alone:
        for side in (both, alone):
            # Which trace was committed first may differ, so evidence is compared as a set.
            metadata = side[key]["metadata"]
            metadata["sources"] = sorted(map(str, metadata.get("sources", [])))
            for first in ("source_task_id", "source_span_id"):
                metadata.pop(first, None)
        assert both[key] == alone[key]


def test_a_source_that_breaks_off_keeps_what_was_done(
    phoenix: PhoenixServer,
    project: str,
    scripted: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send_spans(phoenix.url, project, [lesson_span("kept", start=START), lesson_span("lost")])
    fetch = PhoenixSource.fetch

    def broken(self, traces):
        for number, trace in enumerate(fetch(self, traces)):
            if number:
                raise SourceError("gone")
            yield trace

    monkeypatch.setattr(PhoenixSource, "fetch", broken)
    with pytest.raises(SourceError, match="gone"):
        run_sync(phoenix.url, project, tmp_path)
    assert len(tips(tmp_path)) == 1
    with open_data_dir(tmp_path) as store:
        (run,) = store.iterate("kaizen", type="run")
        assert run.metadata["model"]["calls"] == 1
        assert store.count("kaizen", type="claim") == 0


def test_a_secret_in_why_a_trace_was_skipped_does_not_reach_the_store(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    secret = "sk-proj-Abc123Abc123Abc123Abc123Abc123Abc123"
    refused = make_span(
        status="ERROR",
        status_message=f"AuthenticationError: Incorrect API key provided: {secret}",
        attributes={"llm.system": "openai"},
    )
    send_spans(phoenix.url, project, [refused])
    report = run_sync(phoenix.url, project, tmp_path, include_errors=True)
    assert report.states["skipped"] == 1
    (record,) = records(tmp_path).values()
    assert record["reason"].startswith("no messages, only failed model calls: AuthenticationError")
    assert not any(secret in path.read_text() for path in tmp_path.rglob("*") if path.is_file())
