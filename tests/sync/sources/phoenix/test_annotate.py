"""What became of traces, written into a real Phoenix through its own client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.sync import PhoenixSettings
from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator
from kaizen.sync.sources.phoenix.source import PhoenixSource
from kaizen.sync.state.records import TraceRecord
from kaizen.sync.state.report import Report
from tests.support.command import kaizen, kaizen_process
from tests.support.ill_phoenix import Answer, IllPhoenix
from tests.support.spans import lesson_span, make_span, send_spans
from tests.support.syncing import MODEL, records, tips

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer


def said(phoenix: PhoenixServer, project: str, trace_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The annotations of traces, by trace id."""
    listed = httpx.get(f"{phoenix.url}/v1/projects", params={"limit": 1000}, trust_env=False).json()["data"]
    (project_id,) = [one["id"] for one in listed if one["name"] == project]
    query = [("limit", "1000"), *(("trace_ids", one) for one in trace_ids)]
    answer = httpx.get(
        f"{phoenix.url}/v1/projects/{project_id}/trace_annotations", params=query, trust_env=False
    ).raise_for_status()
    found: dict[str, list[dict[str, Any]]] = {one: [] for one in trace_ids}
    for annotation in answer.json()["data"]:
        found[annotation["trace_id"]].append(annotation)
    return found


def report(namespace_id: str = "kaizen") -> Report:
    return Report(run_id="run-1", source="phoenix", project="p", namespace_id=namespace_id)


def record(trace_id: str, **more: Any) -> TraceRecord:
    state = more.pop("state", "learned")
    return TraceRecord(source="phoenix", project="p", trace_id=trace_id, digest="d", state=state, **more)


def test_each_trace_of_a_run_is_annotated_with_what_became_of_it_however_often_it_is_run(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KAIZEN_BACKEND", "filesystem")
    learned, empty = lesson_span("noted"), make_span(kind="CHAIN", name="no model here")
    send_spans(phoenix.url, project, [learned, empty])
    ids = [span["context"]["trace_id"] for span in (learned, empty)]
    where = ["--project", project, "--url", phoenix.url]
    command = ["sync", "phoenix", *where, "--model", MODEL, "--settle", "0"]
    assert kaizen(*command, "--annotate", "--dry-run").exit_code == 0
    assert said(phoenix, project, ids) == {ids[0]: [], ids[1]: []}
    first = kaizen(*command, "--annotate", "--json").json
    assert first["annotated"] == {"done": 2, "failed": 0}
    found = said(phoenix, project, ids)
    ((one,), (other,)) = found.values()
    (tip,) = tips(tmp_path).values()
    assert tip["support"] == 1
    assert (one["name"], one["annotator_kind"], one["identifier"]) == ("kaizen", "CODE", "kaizen:kaizen")
    assert one["result"]["label"] == "learned"
    assert one["result"]["explanation"] == f"tips {records(tmp_path)[ids[0]]['tip_ids'][0]}"
    assert one["metadata"] == {"namespace": "kaizen", "run_id": first["run_id"]}
    assert other["result"]["label"] == "skipped"
    assert other["result"]["explanation"] == "no LLM span"
    # Our own word is no outcome, whatever counts; and a run that does nothing writes nothing.
    monkeypatch.setenv("KAIZEN_OUTCOME_NAMES", "*")
    assert kaizen(*command, "--annotate", "--json").json["annotated"] == {"done": 0, "failed": 0}
    assert said(phoenix, project, ids) == found
    with PhoenixSource(PhoenixSettings(base_url=phoenix.url, project=project)) as source:
        read = source.annotations("trace", ids)
    assert {annotation.name for one in read.values() for annotation in one} == {"kaizen"}
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "again"))
    kaizen(*command, "--annotate")
    again = said(phoenix, project, ids)
    assert [len(one) for one in again.values()] == [1, 1]
    assert records(tmp_path / "again")[ids[0]]["outcome"]["name"] == "unknown"


def test_each_namespace_has_its_own_and_one_trace_that_is_gone_spoils_nothing(
    phoenix: PhoenixServer, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [lesson_span(f"n{n}") for n in range(3)]
    send_spans(phoenix.url, project, spans)
    ids = [span["context"]["trace_id"] for span in spans]
    mine, others = report(), report("other")
    for one in (mine, others):
        annotator = PhoenixAnnotator(PhoenixSettings(base_url=phoenix.url, project=project))
        annotator.add([record(ids[0]), record("f" * 32), record(ids[1])], one)
        annotator.add([record(ids[2], state="failed", reason="no answer")], one)
        annotator.close(one)
    assert (mine.annotated, mine.not_annotated) == (3, 1)
    found = said(phoenix, project, ids)
    assert {len(one) for one in found.values()} == {2}
    assert {one["result"]["explanation"] for one in found[ids[2]]} == {"no answer"}


def test_traces_are_annotated_a_hundred_at_a_time_and_each_once() -> None:
    with IllPhoenix(Answer(body={"data": []})) as server:
        annotator, told = PhoenixAnnotator(PhoenixSettings(base_url=server.url, project="p")), report()
        for number in range(250):
            annotator.add([record(f"t{number}"), record("same")], told)
        annotator.close(told)
    assert (told.annotated, told.not_annotated) == (253, 0)
    assert [request.path for request in server.requests] == ["/v1/trace_annotations"] * 3


@pytest.mark.parametrize("status", [403, 500])
def test_a_phoenix_that_takes_no_annotations_fails_no_sync(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with IllPhoenix(Answer(status=status, body="no")) as server:
        annotator, told = PhoenixAnnotator(PhoenixSettings(base_url=server.url, project="p")), report()
        annotator.add([record("a"), record("b")], told)
        annotator.close(told)
    assert (told.annotated, told.not_annotated) == (0, 2)
    assert "2 traces were not annotated" in caplog.text


def test_a_sync_goes_on_where_phoenix_client_does_not_import(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "phoenix.client", None)
    annotator, counts = PhoenixAnnotator(PhoenixSettings()), report()
    annotator.add([record("a")], counts)
    annotator.close(counts)
    assert (counts.annotated, counts.not_annotated) == (0, 1)
    assert "1 traces were not annotated" in caplog.text


COMMAND = """
import sys
from kaizen.cli.app import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
assert "kaizen.sync.sources.phoenix.source" in sys.modules
assert "phoenix.client" not in sys.modules
"""


def test_a_sync_that_finds_nothing_new_does_not_import_phoenix_client(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path))
    send_spans(phoenix.url, project, [lesson_span("noted")])
    where = ["--project", project, "--url", phoenix.url, "--annotate", "--json"]
    command = ["sync", "phoenix", *where, "--model", MODEL, "--settle", "0"]
    assert kaizen(*command).json["annotated"] == {"done": 1, "failed": 0}

    again = kaizen_process(*command, program=(sys.executable, "-c", COMMAND), timeout_s=120)

    assert again.exit_code == 0, again.stderr
    assert again.json["traces"] == 1
    assert again.json["annotated"] == {"done": 0, "failed": 0}
