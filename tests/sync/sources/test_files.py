"""Files as a source: what they may hold, how they are followed, and what hostile ones may not do."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.sources.files.content import MAX_LINE_BYTES
from kaizen.sync.sources.files.settings import FilesSettings
from kaizen.sync.sources.files.source import FilesSource
from kaizen.sync.testing.sources import new_trace
from kaizen.sync.trajectory.build import build_trajectory
from tests.support.traces import says, told, user
from tests.support.written import append, otlp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.sync.model import Trace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


@pytest.fixture
def source(folder: Path) -> Iterator[FilesSource]:
    with opened(folder) as source:
        yield source


def opened(place: Path) -> FilesSource:
    return FilesSource(FilesSettings(path=str(place), cache_dir=str(place.parent)))


def traces(source: FilesSource) -> list[Trace]:
    return list(source.fetch(source.index()))


# what they may hold


def test_attributes_of_otlp_keep_their_types_and_kinds(folder: Path, source: FilesSource) -> None:
    attributes = {"n": 3, "f": 0.5, "yes": True, "list": ["a", "b"], "openinference.span.kind": "ignored"}
    span = replace(new_trace()[0], attributes=attributes, kind="TOOL", status="ERROR", status_message="no")
    genai = replace(new_trace()[1], parent_id=None, attributes={"gen_ai.operation.name": "chat"})
    request = otlp(span, genai, **{"service.name": "shop"})
    [plain] = [one for one in _spans_in(request) if one["spanId"] == genai.span_id]
    plain["attributes"] = [pair for pair in plain["attributes"] if pair["key"].startswith("gen_ai")]
    plain["traceId"] = plain["traceId"].upper()
    append(folder / "otel.json", {"resourceLogs": []}, request)

    found = {span.span_id: span for trace in traces(source) for span in trace.spans}

    read = found[span.span_id]
    assert (read.kind, read.status, read.status_message) == ("TOOL", "ERROR", "no")
    assert read.attributes == {"n": 3, "f": 0.5, "yes": True, "list": ["a", "b"]}
    assert (found[genai.span_id].kind, found[genai.span_id].trace_id) == ("LLM", genai.trace_id)
    assert not source.unread


def _spans_in(request: dict[str, Any]) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return spans


@pytest.mark.parametrize("name", ["openai_chat.json", "smol_tool_litellm.json"])
def test_exports_of_phoenix_are_read_as_phoenix_gives_them(
    name: str, folder: Path, source: FilesSource, shared_data: Path
) -> None:
    dump = shared_data / "spans/phoenix_dumps" / name
    (folder / name).write_bytes(dump.read_bytes())
    value = json.loads(dump.read_text())
    given = value if isinstance(value, list) else value.get("data") or value["spans"]

    found = {span.span_id: span for trace in traces(source) for span in trace.spans}

    assert {one["context"]["span_id"] for one in given} == found.keys()
    assert all(found[s["context"]["span_id"]].attributes == s["attributes"] for s in given)
    assert any(build_trajectory(trace).messages for trace in traces(source))


def test_data_frames_and_console_exporters_nest_and_spell_in_their_own_ways(
    folder: Path, source: FilesSource
) -> None:
    asked = [{"message.role": "user", "message.content": "Hi?"}]
    append(
        folder / "frame.jsonl",
        {
            "context.trace_id": "a" * 32,
            "context.span_id": "b" * 16,
            "parent_id": None,
            "name": "ChatCompletion",
            "span_kind": "LLM",
            "start_time": 1767268800000,
            "end_time": 1767268801000,
            "attributes.llm.input_messages": asked,
            "attributes.llm.output_messages": [{"message": {"role": "assistant", "content": "Hi!"}}],
            "attributes.input.value": None,
        },
        {
            "name": "agent",
            "context": {"trace_id": "0x" + "c" * 32, "span_id": "0x" + "d" * 16, "trace_state": "[]"},
            "kind": "SpanKind.INTERNAL",
            "parent_id": None,
            "start_time": "2026-01-01T12:00:00.000000Z",
            "end_time": "2026-01-01T12:00:01.000000Z",
            "status": {"status_code": "ERROR", "description": "it broke"},
            "attributes": {"openinference.span.kind": "AGENT", "input.value": "x"},
            "events": [],
            "resource": {},
        },
    )

    frame, console = traces(source)

    assert told(build_trajectory(frame).messages) == ["user: Hi?", "assistant: Hi!"]
    [span] = console.spans
    assert (span.trace_id, span.kind, span.status, span.status_message) == (
        "c" * 32,
        "AGENT",
        "ERROR",
        "it broke",
    )


def test_chats_are_one_a_line_or_one_a_file_and_keep_their_times_and_ids(
    folder: Path, source: FilesSource
) -> None:
    chat = [user("Hi?"), says("Hi!")]
    append(folder / "chats.jsonl", {"id": 7, "created_at": "2026-01-01T12:00:00Z", "messages": chat}, chat)
    append(folder / "one.jsonl", *chat, user("And?"), says("No more."))
    (folder / "many.json").write_text(json.dumps({"conversations": [{"messages": [*chat, user("Bye.")]}]}))

    found = traces(source)

    assert sorted(len(build_trajectory(trace).messages) for trace in found) == [2, 2, 3, 4]
    assert min(trace.start_time for trace in found).isoformat() == "2026-01-01T12:00:00+00:00"
    assert not source.unread


# how they are followed


def test_a_last_line_that_is_not_whole_is_waited_for(folder: Path, source: FilesSource) -> None:
    first, second = new_trace(), new_trace(hour=1)
    append(folder / "a.jsonl", otlp(*first))
    line = json.dumps(otlp(*second))
    with (folder / "a.jsonl").open("a") as file:
        file.write(line[:200])
    assert [trace.trace_id for trace in traces(source)] == [first[0].trace_id]
    [said] = source.unread
    assert said.startswith("unfinished last lines")

    with (folder / "a.jsonl").open("a") as file:
        file.write(line[200:])

    assert [trace.trace_id for trace in traces(source)] == [first[0].trace_id, second[0].trace_id]
    assert not source.unread


@pytest.mark.parametrize("how", ["rename", "copy", "compress"])
def test_a_file_that_is_rotated_is_not_read_twice_and_its_successor_is_read(
    how: str, folder: Path, source: FilesSource
) -> None:
    old, new = new_trace(), new_trace(hour=1)
    path = folder / "otel.jsonl"
    append(path, otlp(*old))
    before = source.probe()
    assert before is not None

    data = path.read_bytes()
    if how == "rename":
        path.rename(folder / "otel.jsonl.1")
    elif how == "copy":
        (folder / "otel.jsonl.1").write_bytes(data)
        os.truncate(path, 0)
    else:
        (folder / "otel.jsonl.1.gz").write_bytes(gzip.compress(data))
        path.unlink()
    append(path, otlp(*new))

    assert source.probe() != before
    assert list(source.changed_since(before) or ()) == [new[0].trace_id]
    assert [trace.trace_id for trace in traces(source)] == [old[0].trace_id, new[0].trace_id]
    assert all(len(trace.spans) == 2 for trace in traces(source))


def test_what_was_read_is_known_to_the_next_sync_and_read_again_where_the_index_is_lost(folder: Path) -> None:
    append(folder / "a.jsonl", otlp(*new_trace()))
    with opened(folder) as source:
        anchor, digests = source.probe(), [trace.digest for trace in source.index()]
        assert (source.requests, anchor is not None) == (1, True)
    with opened(folder) as source:
        assert source.probe() == anchor
        assert source.requests == 0
    for path in (folder.parent / "sources").iterdir():
        path.unlink()
    with opened(folder) as source:
        assert anchor is not None
        assert source.probe() != anchor
        assert source.changed_since(anchor) is None
        assert [trace.digest for trace in source.index()] == digests


def test_files_compressed_with_zstd_are_read_where_that_is_installed(
    folder: Path, source: FilesSource
) -> None:
    zstandard = pytest.importorskip("zstandard", reason="needs the extra zstd")
    spans = new_trace()
    data = json.dumps(otlp(*spans)).encode()
    (folder / "a.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    assert [trace.trace_id for trace in traces(source)] == [spans[0].trace_id]
    assert not source.unread


# what hostile ones may not do


def test_hostile_lines_are_counted_and_the_rest_is_read(folder: Path, source: FilesSource) -> None:
    good = new_trace()
    path = folder / "hostile.jsonl"
    with path.open("wb") as file:
        for line in (
            b'{"resourceSpans": [',
            b"[" * 100_000,
            b'{"resourceSpans": "\xff\xfe"}',
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 7}]}]}]}',
            b'{"resourceSpans": 1e999, "x": ' + b"9" * 5_000 + b"}",
            b'"just a word"',
            json.dumps(otlp(*good)).encode(),
        ):
            file.write(line + b"\n")

    assert [trace.trace_id for trace in traces(source)] == [good[0].trace_id]
    assert sum(source.unread.values()) == 6
    assert all(f"{path}, byte " in said for said in source.unread)


def test_a_line_without_end_takes_no_memory(folder: Path, source: FilesSource) -> None:
    path = folder / "long.jsonl"
    good = new_trace()
    with path.open("wb") as file:
        # It has holes where nothing is written: two thousand million bytes on no disk.
        file.truncate(2_000_000_000 if os.environ.get("KAIZEN_TEST_SLOW") else 4 * MAX_LINE_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + json.dumps(otlp(*good)).encode() + b"\n")
    tracemalloc.start()

    found = traces(source)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [trace.trace_id for trace in found] == [good[0].trace_id]
    assert sum(source.unread.values()) == 1
    assert peak < 4 * MAX_LINE_BYTES


def test_links_out_of_the_directory_and_pipes_are_not_followed(folder: Path, source: FilesSource) -> None:
    outside = folder.parent / "secret"
    append(outside / "a.jsonl", otlp(*new_trace()))
    (folder / "link.jsonl").symlink_to(outside / "a.jsonl")
    (folder / "links").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "unreadable.json.gz").write_bytes(b"this is not compressed\n")
    broken = bytearray(gzip.compress(os.urandom(50_000)))
    broken[20_000:20_100] = bytes(100)
    (folder / "broken.json.gz").write_bytes(broken)
    (folder / "broken.json.zst").write_bytes(b"this is not compressed either\n")

    assert traces(source) == []
    assert sum("links out of the directory" in said for said in source.unread) == 2
    read = {said.rpartition("(")[2].rpartition("/")[2] for said in source.unread if "cannot be read" in said}
    assert {"unreadable.json.gz)", "broken.json.zst)"} <= read
    assert any("broken.json.gz" in said for said in source.unread)


def test_memory_is_flat_in_the_number_of_traces(folder: Path, source: FilesSource) -> None:
    def grow(hours: range) -> int:
        append(folder / "many.jsonl", *(otlp(*new_trace(hour=hour)) for hour in hours))
        tracemalloc.start()
        source.probe()
        assert sum(1 for _ in source.fetch(source.index())) == hours.stop
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    first = grow(range(50))
    # Records are added some thousands at a time, so it is what is new that counts.
    assert grow(range(50, 300)) < 8 * first
