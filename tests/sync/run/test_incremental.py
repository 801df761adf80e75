"""What a sync reads when most of a project is known: little, and enough to miss nothing."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.demo.faults import Fault
from kaizen.sync import PhoenixSource, SyncSettings
from kaizen.sync.model import Anchor
from kaizen.sync.run import selection
from kaizen.sync.run.selection import plan_reading
from kaizen.sync.state.checkpoint import WAITING, Checkpoint, Waiting, checkpoint_id
from kaizen.sync.state.records import CountedState
from tests.support.spans import START, lesson_span, read_spans, send_spans
from tests.support.syncing import open_data_dir, records, run_sync, snapshot, tips

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer


def delete_trace(phoenix: PhoenixServer, span: dict[str, Any]) -> None:
    trace_id = span["context"]["trace_id"]
    httpx.delete(f"{phoenix.url}/v1/traces/{trace_id}", trust_env=False, timeout=30).raise_for_status()


def lessons(count: int, *, start: datetime = START) -> list[dict[str, Any]]:
    return [lesson_span(f"n{i}", start=start + timedelta(hours=i)) for i in range(count)]


@pytest.fixture
def sparing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never list all because a project is small."""
    monkeypatch.setattr(selection, "_INDEXED_PER_READ", 0)


# what is read, as a rule of what is known

FULL_AT = datetime(2026, 5, 1, tzinfo=UTC)
KNOWN = Checkpoint(
    source="phoenix",
    project="p",
    anchor=Anchor(row=100, token="a"),
    index_from=START,
    spans=1_000,
    full_at=FULL_AT,
)


@pytest.mark.parametrize(
    ("newest", "settings", "reading"),
    [
        (Anchor(row=100, token="a"), {}, "nothing"),
        (Anchor(row=101, token="b"), {}, "recent"),
        (Anchor(row=160, token="b"), {}, "full"),
        (Anchor(row=100, token="reused"), {}, "full"),
        (Anchor(row=90, token="z"), {}, "full"),
        (Anchor(token="not numbered"), {}, "recent"),
        (None, {}, "full"),
        (Anchor(row=100, token="a"), {"full": True}, "full"),
        (Anchor(row=100, token="a"), {"full_every_s": 60.0}, "full"),
        (Anchor(row=100, token="a"), {"since": START}, "window"),
    ],
)
def test_the_newest_row_decides_how_much_is_read(
    newest: Anchor | None, settings: dict[str, Any], reading: str
) -> None:
    now = FULL_AT + timedelta(hours=1)
    assert plan_reading(KNOWN, newest, SyncSettings(**settings), now=now) == reading


@pytest.mark.parametrize(
    ("counted_state", "settings", "waits"),
    [
        (CountedState("learned"), {}, False),
        (CountedState("failed", "r", 2), {}, True),
        (CountedState("failed", "r", 5), {}, False),
        (CountedState("skipped", "errors excluded"), {}, False),
        (CountedState("skipped", "errors excluded"), {"include_errors": True}, True),
    ],
)
def test_a_trace_that_waits_is_looked_at_although_nothing_is_new(
    counted_state: CountedState, settings: dict[str, Any], waits: bool
) -> None:
    checkpoint = replace(KNOWN, state_counts=Counter({counted_state: 1}))
    found = plan_reading(checkpoint, KNOWN.anchor, SyncSettings(**settings), now=FULL_AT)
    assert found == ("recent" if waits else "nothing")


def test_where_the_oldest_that_waits_is_not_known_all_is_listed() -> None:
    waiting = Waiting()
    for number in range(WAITING + 1):
        waiting.add(f"t{number}", None if number == 7 else START)
    checkpoint = replace(KNOWN, index_from=waiting.index_from(START, timedelta(0)), deferred=waiting.traces)
    assert plan_reading(checkpoint, KNOWN.anchor, SyncSettings(), now=FULL_AT) == "full"


def test_the_next_index_never_starts_after_a_trace_that_waits_without_a_name() -> None:
    newest, overlap = START + timedelta(days=9), timedelta(minutes=10)
    few, many = Waiting(), Waiting()
    few.add("t", START)
    assert (few.named(), few.index_from(newest, overlap)) == (("t",), newest - overlap)
    for number in range(WAITING + 1):
        many.add(f"t{number}", START + timedelta(minutes=number))
    assert (many.named(), many.index_from(newest, overlap)) == ((), START)


# against a real Phoenix


@pytest.mark.parametrize("traces", [1, 30])
def test_nothing_new_costs_two_requests_however_many_traces_are_known(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, traces: int
) -> None:
    send_spans(phoenix.url, project, lessons(traces))
    first = run_sync(phoenix.url, project, tmp_path)
    second = run_sync(phoenix.url, project, tmp_path)
    assert (second.reading, second.requests) == ("nothing", 2)
    assert second.states == first.states
    assert second.reasons == first.reasons


def test_a_new_trace_is_found_without_listing_the_old_ones(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, sparing: None
) -> None:
    send_spans(phoenix.url, project, lessons(5))
    run_sync(phoenix.url, project, tmp_path)
    send_spans(phoenix.url, project, [lesson_span("new", start=START + timedelta(days=2))])
    report = run_sync(phoenix.url, project, tmp_path)
    assert (report.reading, report.processed["learned"], report.traces) == ("recent", 1, 6)
    assert "Remember new." in tips(tmp_path)


def test_late_spans_of_an_old_trace_open_it_again(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, sparing: None
) -> None:
    old, *others = lessons(4)
    send_spans(phoenix.url, project, [old, *others])
    run_sync(phoenix.url, project, tmp_path)
    for late_start in (START + timedelta(seconds=5), START + timedelta(days=1)):
        late = lesson_span("late", trace_id=old["context"]["trace_id"], start=late_start)
        send_spans(phoenix.url, project, [late])
        report = run_sync(phoenix.url, project, tmp_path)
        assert (report.reading, report.processed.total(), report.traces) == ("recent", 1, 4)
    assert set(tips(tmp_path)) == {f"Remember {word}." for word in ("n0", "n1", "n2", "n3", "late")}


def test_spans_sent_twice_change_nothing(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, sparing: None
) -> None:
    spans = lessons(3)
    send_spans(phoenix.url, project, spans)
    run_sync(phoenix.url, project, tmp_path)
    known = {value["digest"] for value in records(tmp_path).values()}
    # Phoenix refuses what it has; the new trace shows when it has taken in the request.
    one = read_spans(phoenix.url, project)[0]
    httpx.post(
        f"{phoenix.url}/v1/projects/{project}/spans", json={"data": [one]}, trust_env=False, timeout=30
    )
    send_spans(phoenix.url, project, [lesson_span("new", start=START + timedelta(days=2))])
    assert run_sync(phoenix.url, project, tmp_path).processed.total() == 1
    assert known < {value["digest"] for value in records(tmp_path).values()}


@pytest.mark.parametrize("deleted", [1, 2])
def test_newest_traces_deleted_and_their_row_ids_given_again(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, sparing: None, deleted: int
) -> None:
    spans = lessons(4)
    send_spans(phoenix.url, project, spans)
    run_sync(phoenix.url, project, tmp_path)
    for span in spans[-deleted:]:
        delete_trace(phoenix, span)
    send_spans(phoenix.url, project, [lesson_span("reused", start=START + timedelta(minutes=1))])
    report = run_sync(phoenix.url, project, tmp_path)
    assert "Remember reused." in tips(tmp_path)
    # A whole index counts what Phoenix has, and no more.
    assert report.reading == "full"
    assert report.traces == 4 - deleted + 1
    again = run_sync(phoenix.url, project, tmp_path)
    assert (again.reading, again.traces) == ("nothing", report.traces)


def test_a_trace_moved_here_from_another_project_is_found_by_the_next_whole_index(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, sparing: None
) -> None:
    moved, other = lesson_span("moved"), f"{project}-other"
    send_spans(phoenix.url, other, [moved])
    send_spans(phoenix.url, project, lessons(3))
    run_sync(phoenix.url, project, tmp_path)
    transfer = {
        "trace_identifiers": [moved["context"]["trace_id"]],
        "destination_project_identifier": project,
    }
    httpx.post(
        f"{phoenix.url}/v1/traces/transfer", json=transfer, trust_env=False, timeout=30
    ).raise_for_status()
    report = run_sync(phoenix.url, project, tmp_path, full=True)
    assert (report.processed["learned"], report.traces) == (1, 4)
    assert "Remember moved." in tips(tmp_path)


def test_oldest_traces_deleted_keep_their_tips_and_leave_the_count_at_the_next_whole_index(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    spans = lessons(4)
    send_spans(phoenix.url, project, spans)
    run_sync(phoenix.url, project, tmp_path)
    for span in spans[:2]:
        delete_trace(phoenix, span)
    assert run_sync(phoenix.url, project, tmp_path).reading == "nothing"
    assert run_sync(phoenix.url, project, tmp_path, full=True).traces == 2
    assert run_sync(phoenix.url, project, tmp_path).traces == 2
    assert len(tips(tmp_path)) == 4


def test_traces_deleted_while_they_are_read_are_counted_and_not_half_read(
    phoenix: PhoenixServer,
    project: str,
    scripted: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = lessons(3)
    root = spans[1]["context"]
    lost = lesson_span("lost", trace_id=root["trace_id"], parent_id=root["span_id"], start=START)
    send_spans(phoenix.url, project, [*spans, lost])
    fetch = PhoenixSource.fetch

    def retention(self: PhoenixSource, traces: Any) -> Any:
        wanted = list(traces)
        delete_trace(phoenix, spans[0])
        url = f"{phoenix.url}/v1/spans/{lost['context']['span_id']}"
        httpx.delete(url, trust_env=False, timeout=30).raise_for_status()
        yield from fetch(self, iter(wanted))

    monkeypatch.setattr(PhoenixSource, "fetch", retention)
    report = run_sync(phoenix.url, project, tmp_path)
    assert report.states == {"learned": 1, "skipped": 1, "deferred": 1}
    assert report.reasons["deferred", "changed while it was read"] == 1
    monkeypatch.undo()


def test_a_failed_trace_is_tried_again_although_nothing_is_new(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, lessons(3))
    scripted.fail(Fault(kind="nonsense", contains="LESSON-n1"), times=2)
    assert run_sync(phoenix.url, project, tmp_path).states["failed"] == 1
    report = run_sync(phoenix.url, project, tmp_path)
    assert (report.reading, report.processed["learned"]) == ("recent", 1)
    assert (report.states["learned"], report.states["failed"]) == (3, 0)


def test_a_record_that_somebody_deletes_is_made_again(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    from kaizen.store import Delete

    send_spans(phoenix.url, project, lessons(3))
    run_sync(phoenix.url, project, tmp_path)
    expected = snapshot(tmp_path)
    with open_data_dir(tmp_path) as store:
        record = next(iter(store.iterate("kaizen", type="trajectory")))
        store.commit("kaizen", [Delete(id=record.id)])
    report = run_sync(phoenix.url, project, tmp_path)
    assert (report.processed["learned"], report.traces) == (1, 3)
    assert snapshot(tmp_path) == expected


def test_a_checkpoint_that_is_lost_is_made_again_from_the_records(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    from kaizen.store import Delete

    send_spans(phoenix.url, project, lessons(3))
    first = run_sync(phoenix.url, project, tmp_path)
    with open_data_dir(tmp_path) as store:
        store.commit("kaizen", [Delete(id=checkpoint_id("phoenix", project))])
    again = run_sync(phoenix.url, project, tmp_path)
    assert (again.states, again.processed.total()) == (first.states, 0)
    assert run_sync(phoenix.url, project, tmp_path).reading == "nothing"


def test_a_window_of_time_counts_its_own_traces_and_leaves_the_checkpoint(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path
) -> None:
    send_spans(phoenix.url, project, lessons(4))
    window = {"since": START + timedelta(hours=1), "until": START + timedelta(hours=3)}
    report = run_sync(phoenix.url, project, tmp_path, **window)
    assert (report.traces, report.states["learned"]) == (2, 2)
    assert set(tips(tmp_path)) == {"Remember n1.", "Remember n2."}
    rest = run_sync(phoenix.url, project, tmp_path)
    assert (rest.processed["learned"], rest.states["learned"]) == (2, 4)


def test_a_server_that_lists_no_traces_is_read_by_its_spans(
    phoenix: PhoenixServer,
    project: str,
    scripted: ModelServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send_spans(phoenix.url, project, lessons(3))
    run_sync(phoenix.url, project, tmp_path / "new")
    monkeypatch.setattr(PhoenixSource, "lists_traces", False)
    report = run_sync(phoenix.url, project, tmp_path / "old")
    assert report.states == {"learned": 3}
    assert tips(tmp_path / "old").keys() == tips(tmp_path / "new").keys()
    late = lesson_span("late", trace_id=secrets.token_hex(16), start=START + timedelta(days=1))
    send_spans(phoenix.url, project, [late])
    assert run_sync(phoenix.url, project, tmp_path / "old").states == {"learned": 4}
    assert run_sync(phoenix.url, project, tmp_path / "old").reading == "nothing"
