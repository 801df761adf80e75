"""`kaizen doctor`: each check where all is well, where something is noted, and where something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.faults import Fault
from tests.cli.test_commands import assert_documented
from tests.support.command import kaizen
from tests.support.ill_phoenix import Answer, IllPhoenix, page
from tests.support.spans import lesson_span, send_spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.phoenix_server import PhoenixServer
    from tests.support.shared import SharedServer

PROJECTS = page({"id": "1", "name": "shop"})


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything well but for the model, which the tests that need one add."""
    monkeypatch.setattr("kaizen.sync.sources.http._wait", lambda _: 0.0)
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_TRACING_PROJECT", "shop")
    monkeypatch.setenv("KAIZEN_AUTO_ENABLED", "true")
    with IllPhoenix(PROJECTS) as server:
        monkeypatch.setenv("PHOENIX_URL", server.url)
        yield


@pytest.fixture
def scripted(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "openai/gpt-4.1-mini")
    return model_server


def checks(*options: str, fails: bool = False) -> dict[str, dict[str, Any]]:
    ended = kaizen("doctor", "--json", *options)
    assert_documented("doctor", ended.json)
    assert ended.stderr == ""
    assert ended.json["ok"] is not fails
    assert ended.exit_code == int(fails)
    return {check["name"]: check for check in ended.json["checks"]}


def test_a_healthy_set_up_is_ok_throughout(
    phoenix: PhoenixServer, project: str, scripted: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_spans(phoenix.url, project, [lesson_span("one")])
    monkeypatch.setenv("PHOENIX_URL", phoenix.url)
    found = checks("--project", project)
    assert {name: check["status"] for name, check in found.items()} == dict.fromkeys(
        ["versions", "tracing", "phoenix", "project", "store", "model"], "ok"
    )
    assert phoenix.url in found["phoenix"]["detail"]
    assert len(scripted.requests) == 1


def test_people_see_one_line_for_each_check_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAIZEN_AUTO_ENABLED")
    ended = kaizen("doctor", "--no-model")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("ok    versions: kaizen-cli ")
    assert lines[1].startswith("note  tracing: ")
    assert lines[2].startswith("      -> ")
    assert ended.exit_code == 0


@pytest.mark.parametrize(
    ("value", "says"), [(None, "is not set to true"), ("", "is not set to true"), ("no", "is 'no', not true")]
)
def test_tracing_that_is_off_is_noted(monkeypatch: pytest.MonkeyPatch, value: str | None, says: str) -> None:
    if value is None:
        monkeypatch.delenv("KAIZEN_AUTO_ENABLED")
    else:
        monkeypatch.setenv("KAIZEN_AUTO_ENABLED", value)
    check = checks("--no-model")["tracing"]
    assert check["status"] == "note"
    assert f"KAIZEN_AUTO_ENABLED {says}" in check["detail"]
    assert "KAIZEN_AUTO_ENABLED=true" in check["advice"]


def test_a_missing_kaizen_auto_is_noted_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaizen.cli.doctor.importlib.util.find_spec", lambda _: None)
    check = checks("--no-model")["tracing"]
    assert (check["status"], "not installed" in check["detail"]) == ("note", True)
    assert "pip install ./packages/kaizen-auto" in check["advice"]


def test_a_phoenix_that_is_down_fails_with_how_to_start_it() -> None:
    check = checks("--no-model", "--url", "http://127.0.0.1:9", fails=True)["phoenix"]
    assert check["status"] == "fail"
    assert "http://127.0.0.1:9" in check["detail"]
    assert check["advice"] == "phoenix serve"


def test_a_server_without_phoenixs_version_header_is_noted() -> None:
    unnamed = Answer(body=PROJECTS.body, headers={"x-phoenix-server-version": ""})
    with IllPhoenix(unnamed) as server:
        assert checks("--no-model", "--url", server.url)["phoenix"]["status"] == "note"


def test_a_project_that_is_not_there_yet_is_noted_beside_those_that_are() -> None:
    check = checks("--no-model", "--project", "shpo")["project"]
    assert check["status"] == "note"
    assert "'shpo' yet; it has: shop" in check["detail"]


def test_a_store_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = checks("--no-model", "--data-dir", str(tmp_path / "file"), fails=True)["store"]
    assert check["status"] == "fail"
    assert "KAIZEN_DATA_DIR" in check["advice"]


def test_an_unknown_backend_fails_and_the_other_checks_are_made() -> None:
    found = checks("--no-model", "--backend", "floppy", fails=True)
    assert "floppy" in found["store"]["detail"]
    assert found["phoenix"]["status"] == "ok"


def test_a_damaged_store_fails_by_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_BACKEND", "filesystem")
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    for number in range(2):
        assert kaizen("entities", "add", "kaizen", "--content", f"{number}").exit_code == 0
    (journal,) = (tmp_path / "data" / "namespaces").glob("kaizen*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], "damage\n", *lines[2:]]))
    assert str(journal) in checks("--no-model", fails=True)["store"]["detail"]


def test_a_model_is_not_called_when_that_is_not_wanted(scripted: ModelServer) -> None:
    assert checks("--no-model")["model"]["status"] == "note"
    assert scripted.requests == []


@pytest.mark.parametrize("options", [[], ["--no-model"]])
def test_offline_no_model_is_called_and_no_key_is_asked_for(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "offline")
    monkeypatch.setattr("kaizen.sync.llm.client.import_litellm", lambda: pytest.fail("litellm was imported"))
    check = checks(*options)["model"]
    assert check["status"] == "ok"
    assert "tips are generated offline" in check["detail"]


def test_offline_a_model_that_reconciles_is_called_all_the_same(
    scripted: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "offline")
    monkeypatch.setenv("KAIZEN_CONFLICT_RESOLUTION_MODEL", "openai/gpt-4.1-nano")
    assert "gpt-4.1-nano answers" in checks()["model"]["detail"]
    assert len(scripted.requests) == 1


def test_a_model_that_fails_says_what_to_set(scripted: ModelServer) -> None:
    scripted.fail(Fault(kind="status", status=401), times=None)
    check = checks(fails=True)["model"]
    assert check["status"] == "fail"
    assert "OPENAI_API_KEY" in check["advice"]
    assert len(scripted.requests) == 1


def test_both_models_are_asked_when_they_differ(
    scripted: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_CONFLICT_RESOLUTION_MODEL", "openai/gpt-4.1-nano")
    checks()
    assert [request.body["model"] for request in scripted.requests] == ["gpt-4.1-mini", "gpt-4.1-nano"]


def test_an_env_file_is_mentioned(tmp_path: Path) -> None:
    assert "settings" not in checks("--no-model")
    (tmp_path / ".env").write_text("KAIZEN_NAMESPACE_ID=x\nOPENAI_BASE_URL=http://secret.example\n")
    check = checks("--no-model")["settings"]
    assert check["status"] == "note"
    assert check["detail"] == (
        f"{tmp_path}/.env sets KAIZEN_NAMESPACE_ID; ignored: OPENAI_BASE_URL (the file has no key for it)"
    )


@pytest.mark.parametrize(
    ("version", "status", "says"),
    [
        ("13.15.0", "ok", "version 13.15.0"),
        ("13.9.2", "note", "lists no traces"),
        ("12.1.0", "fail", "cannot be asked for single traces"),
    ],
)
def test_what_an_older_server_lacks_is_said(version: str, status: str, says: str) -> None:
    with IllPhoenix(Answer(body=PROJECTS.body, headers={"x-phoenix-server-version": version})) as server:
        check = checks("--no-model", "--url", server.url, fails=status == "fail")["phoenix"]
    assert (check["status"], says in check["detail"]) == (status, True)


def test_postgres_tells_how_it_compares_meanings(
    postgres: SharedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_BACKEND", "postgres")
    monkeypatch.setenv("KAIZEN_PG_DSN", postgres.url)
    assert "meanings are searched by an index (pgvector)" in checks("--no-model")["store"]["detail"]
