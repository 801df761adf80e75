"""Bad input and bad neighbours: one clear line, a non-zero exit code, nothing lost or half-written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.demo.faults import Fault
from tests.support.command import Ended, kaizen
from tests.support.ill_phoenix import Answer, IllPhoenix
from tests.support.spans import lesson_span, send_spans

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer

HTML = "<!doctype html><title>Phoenix</title>"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def scripted(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "openai/gpt-4.1-mini")
    return model_server


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a sync waits before it tries again is tested in tests/sync."""
    for module in ("sources.http", "llm.calling"):
        monkeypatch.setattr(f"kaizen.sync.{module}._wait", lambda _: 0.0)


@pytest.fixture
def one_trace(phoenix: PhoenixServer, project: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project with one trace, which the environment names."""
    send_spans(phoenix.url, project, [lesson_span("patience")])
    monkeypatch.setenv("PHOENIX_URL", phoenix.url)
    monkeypatch.setenv("KAIZEN_TRACING_PROJECT", project)
    return project


def sync(*options: object) -> Ended:
    return kaizen("sync", "phoenix", *options)


def stored() -> list[dict[str, Any]]:
    """What is there but for the sync's own notes of how far it has come and what it cost."""
    listed: list[dict[str, Any]] = kaizen("entities", "list", "--all-types", "--json").json.get(
        "entities", []
    )
    return [entity for entity in listed if entity["type"] not in ("checkpoint", "run")]


# Phoenix


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(status=401, body="Invalid token", content_type="text/plain"), "PHOENIX_API_KEY"),
        (Answer(status=403, body="no", content_type="text/plain"), "PHOENIX_API_KEY"),
        (Answer(status=404, body="Not Found", content_type="text/plain"), "check --url"),
        (Answer(status=422, body='{"detail": [{"msg": "bad limit"}]}'), "kaizen doctor"),
        (Answer(status=429, body="slow down"), "try again later"),
        (Answer(status=500, body="oops"), "server's log"),
        (Answer(status=503, body="busy"), "server's log"),
        (Answer(body=HTML, content_type="text/html"), "check that --url names a Phoenix server"),
        (Answer(body='{"data": [', content_type="application/json"), "broken JSON"),
        (Answer(body="[]"), "expected"),
        (Answer(body="{}"), "expected"),
        (Answer(body='{"data": [1], "next_cursor": null}'), "expected"),
        (Answer(body='{"data": [], "next_cursor": null}'), "has no project 'kaizen-agent'; it has: none"),
    ],
    ids=lambda value: f"{value.status} {value.body[:20]}" if isinstance(value, Answer) else "",
)
def test_an_odd_answer_of_phoenix_is_one_line_that_says_what_to_do(answer: Answer, says: str) -> None:
    with IllPhoenix(answer) as server:
        ended = sync("--url", server.url, "--json")
    assert says in ended.error
    assert server.url in ended.error
    assert ended.exit_code == 1
    assert ended.json["error"]["type"] in ("SourceError", "ProjectNotFoundError")
    assert kaizen("entities", "list", "kaizen", "--json").json["entities"] == []


def test_a_phoenix_that_is_down_is_named_with_how_to_start_one() -> None:
    ended = sync("--url", "http://127.0.0.1:9")
    assert "cannot reach Phoenix at http://127.0.0.1:9" in ended.error
    assert "phoenix serve" in ended.error


def test_a_phoenix_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_PHOENIX_TIMEOUT", "0.2")
    with IllPhoenix(Answer(fault="hang")) as server:
        ended = sync("--url", server.url)
    assert "did not answer within 0.2 s" in ended.error
    assert "KAIZEN_PHOENIX_TIMEOUT" in ended.error


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://x:port", "http://[::1"])
def test_a_url_that_is_none_is_shown_with_an_example(url: str) -> None:
    assert f"'{url}' is not the URL of a Phoenix server" in sync("--url", url).error


def test_text_of_a_strange_server_cannot_steer_the_terminal() -> None:
    with IllPhoenix(Answer(status=404, body="\x1b[2J\x9bgone", content_type="text/plain")) as server:
        ended = sync("--url", server.url, "--json")
    assert not {"\x1b", "\x9b"} & {*ended.stderr, *ended.stdout}


def test_a_project_that_does_not_exist_is_named_beside_those_that_do(one_trace: str) -> None:
    ended = sync("--project", f"{one_trace}-typo")
    assert f"has no project '{one_trace}-typo'" in ended.error
    assert "--project" in ended.error


@pytest.mark.parametrize("name", ["with/slash", "with space", "ünï?&#%"])
def test_a_project_may_have_any_name(phoenix: PhoenixServer, project: str, name: str) -> None:
    send_spans(phoenix.url, f"{project} {name}", [lesson_span("names")])
    ended = sync("--url", phoenix.url, "--project", f"{project} {name}", "--json")
    assert (ended.exit_code, ended.json["states"]["learned"]) == (0, 1)


def test_an_empty_project_is_no_failure_and_says_how_traces_get_there(
    phoenix: PhoenixServer, project: str
) -> None:
    httpx.post(f"{phoenix.url}/v1/projects", json={"name": project}, trust_env=False).raise_for_status()
    ended = sync("--url", phoenix.url, "--project", project)
    assert ended.exit_code == 0
    assert "KAIZEN_AUTO_ENABLED=true" in ended.stderr
    assert project in ended.stderr


# The model


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(kind="nonsense"), "gave no usable answer"),
        (Fault(kind="empty"), "an empty answer"),
        (Fault(kind="status", status=400), "BadRequestError"),
    ],
    ids=lambda value: f"{value.kind} {value.status}" if isinstance(value, Fault) else "",
)
def test_a_trace_whose_model_call_failed_is_reported_and_taken_up_by_the_next_sync(
    one_trace: str, scripted: ModelServer, fault: Fault, says: str
) -> None:
    scripted.fail(fault, times=None)
    ended = sync()
    assert ended.exit_code == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("failed: ")]
    assert says in line
    assert "Traceback" not in ended.stderr
    assert [(e["type"], e["metadata"]["state"]) for e in stored()] == [("trajectory", "failed")]

    scripted.heal()
    again = sync("--json")
    assert (again.exit_code, again.json["states"]["learned"]) == (0, 1)
    assert [e["content"] for e in stored() if e["type"] == "guideline"] == ["Remember patience."]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(kind="status", status=429), "RateLimitError"),
        (Fault(kind="status", status=500), "InternalServerError"),
        (Fault(kind="hang"), "Timeout"),
    ],
    ids=lambda value: f"{value.kind} {value.status}" if isinstance(value, Fault) else "",
)
def test_a_model_that_is_unavailable_is_reported_and_not_held_against_the_trace(
    one_trace: str, scripted: ModelServer, fault: Fault, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault.kind == "hang":
        monkeypatch.setenv("KAIZEN_MODEL_TIMEOUT", "0.2")
    scripted.fail(fault, times=None)
    ended = sync()
    assert ended.exit_code == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert says in line
    assert "Traceback" not in ended.stderr
    assert stored() == []

    monkeypatch.delenv("KAIZEN_MODEL_TIMEOUT", raising=False)
    scripted.heal()
    assert sync("--json").json["states"]["learned"] == 1


def test_a_model_that_recovers_is_asked_again_within_the_same_sync(
    one_trace: str, scripted: ModelServer
) -> None:
    scripted.fail(Fault(kind="status", status=429), times=2)
    scripted.fail(Fault(kind="nonsense"), times=1)
    assert sync("--json").json["states"]["learned"] == 1


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("OPENAI_API_KEY", "", "OPENAI_API_KEY"),
        ("KAIZEN_TIPS_MODEL", "nonsense-model", "KAIZEN_TIPS_MODEL"),
        ("KAIZEN_MODEL_TIMEOUT", "soon", "KAIZEN_MODEL_TIMEOUT is 'soon'"),
        ("KAIZEN_PHOENIX_TIMEOUT", "-1", "KAIZEN_PHOENIX_TIMEOUT is '-1'"),
        ("PHOENIX_CLIENT_HEADERS", "nonsense", "name=value"),
    ],
)
def test_a_setting_that_cannot_work_is_named_and_nothing_is_stored(
    one_trace: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    ended = sync()
    assert ended.exit_code == 1
    said = [line for line in ended.stderr.splitlines() if line.startswith(("Error: ", "failed: "))]
    assert len(said) == 1
    assert says in said[0]
    assert "Traceback" not in ended.stderr
    assert stored() == []


def test_a_refused_key_is_not_held_against_the_traces(one_trace: str, scripted: ModelServer) -> None:
    scripted.fail(Fault(kind="status", status=401), times=None)
    for _ in range(6):
        assert sync().exit_code == 1
    assert stored() == []
    scripted.heal()
    assert sync("--json").json["states"]["learned"] == 1


def test_no_key_is_shown_in_an_error(
    one_trace: str, scripted: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-proj-" + "a1B2c3D4" * 4
    monkeypatch.setenv("OPENAI_API_KEY", key)
    body = {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}}
    scripted.fail(Fault(kind="status", status=401, body=body), times=None)
    ended = sync()
    assert ended.exit_code == 1
    assert key not in ended.stdout + ended.stderr


# The store


@pytest.mark.parametrize("command", ["entities list kaizen", "namespaces list", "sync phoenix"])
def test_an_unknown_backend_is_named_beside_those_there_are(command: str) -> None:
    assert "unknown backend 'floppy'" in (said := kaizen(*command.split(), "--backend", "floppy").error)
    assert "filesystem" in said


@pytest.mark.parametrize("command", ["entities list ../x", "namespaces create ../x", "namespaces info ../x"])
def test_a_namespace_cannot_name_a_path(command: str, data_dir: Path) -> None:
    assert "namespace id '../x' is not acceptable" in kaizen(*command.split()).error
    assert "namespace id '../x' is not acceptable" in sync("--namespace", "../x").error
    assert not list(data_dir.parent.glob("x*"))


@pytest.mark.parametrize("place", ["file", "file/below", "/dev/null"])
def test_a_data_directory_that_cannot_be_written_is_named(
    one_trace: str, scripted: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("kept")
    monkeypatch.setenv("KAIZEN_DATA_DIR", place)
    for ended in (sync(), kaizen("namespaces", "create", "x")):
        assert place.removesuffix("/below") in ended.error
        assert "KAIZEN_DATA_DIR" in ended.error
    assert (tmp_path / "file").read_text() == "kept"
    assert scripted.requests == []


@pytest.fixture
def _filesystem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_BACKEND", "filesystem")


@pytest.mark.usefixtures("_filesystem")
@pytest.mark.parametrize("damage", ["not JSON", '{"json": "but no commit"}', "\x00\x00"])
def test_a_damaged_journal_is_named_by_file_and_line_and_kept(
    one_trace: str, scripted: ModelServer, data_dir: Path, damage: str
) -> None:
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    for number in range(3):
        assert kaizen("entities", "add", "kaizen", "--content", f"tip {number}").exit_code == 0
    (journal,) = (data_dir / "namespaces").glob("kaizen*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    lines[2] = damage + "\n"
    journal.write_text("".join(lines))
    before = journal.read_bytes()

    for command in ("entities list kaizen", "entities add kaizen --content x", "sync phoenix"):
        error = kaizen(*command.split()).error
        assert str(journal) in error
        assert "3" in error.replace(str(journal), "")
    assert journal.read_bytes() == before
    assert scripted.requests == []


@pytest.mark.usefixtures("_filesystem")
def test_a_torn_last_line_is_no_error_and_loses_nothing(one_trace: str, data_dir: Path) -> None:
    assert sync().exit_code == 0
    (journal,) = (data_dir / "namespaces").glob("kaizen*.jsonl")
    before = stored()
    with journal.open("a") as file:
        file.write('{"half a li')
    assert stored() == before
    assert kaizen("entities", "add", "kaizen", "--content", "x").exit_code == 0
    assert [entity for entity in stored() if entity["content"] != "x"] == before
    assert all(json.loads(line) for line in journal.read_text().splitlines())
