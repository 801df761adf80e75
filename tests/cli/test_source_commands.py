"""`kaizen sync NAME` for every source that is installed."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from kaizen.store import EnvironmentSettings
from kaizen.sync.sources import registry
from kaizen.sync.sources.files.otlp import read_spans
from tests.support.command import kaizen
from tests.support.listed import ListedSource, one_call
from tests.support.played import PlayedMlflow
from tests.support.spans import START
from tests.support.traces import result, says, user
from tests.support.written import append, claude_lines

EXAMPLES = Path(__file__).parents[2] / "examples/sources"

RUN = [
    user("Run the tests."),
    says("", ("c1", "Bash", '{"command": "pytest"}')),
    result("c1", "Exit code 127\nbash: pytest: command not found"),
    says("", ("c2", "Bash", '{"command": "uv run pytest"}')),
    result("c2", "3 passed"),
    says("They pass."),
]


class BoardSettings(EnvironmentSettings):
    project: str = Field(
        default="p",
        validation_alias="BOARD_PROJECT",
        description="board to read",
        json_schema_extra={"option": "--project"},
    )
    labels: tuple[str, ...] = Field(
        default=(), description="only with these", json_schema_extra={"option": "--label"}
    )
    is_deep: bool = Field(default=False, description="replies too", json_schema_extra={"option": "--deep"})


class BoardSource(ListedSource):
    """Read the boards of somebody else.

    Example: kaizen sync board --project p
    """

    name = "board"
    settings_type = BoardSettings
    seen: ClassVar[list[BoardSettings]] = []

    def __init__(self, settings: BoardSettings) -> None:
        super().__init__([one_call("t1", 0, [{"role": "user", "content": "Hi?"}], "Hi!")])
        self.project = settings.project  # type: ignore[misc]
        self.seen.append(settings)

    def projects(self) -> list[str]:
        return ["p", "q"]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> list[BoardSettings]:
    others = [
        EntryPoint("board", f"{__name__}:BoardSource", registry.GROUP),
        EntryPoint("broken", "no_such_package.source:Source", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [*entry_points(group=group), *others])
    # Commands are found once in a process, which other tests share.
    from kaizen.cli import app as app_module

    commands = next(group.commands for group in app_module.GROUPS if group.name == "sync")
    for name in ("_loaded", "_others"):
        monkeypatch.setattr(commands, name, {})
    monkeypatch.setattr(commands, "_find_others", app_module._find_sources)
    monkeypatch.setattr(BoardSource, "seen", [])
    return BoardSource.seen


def test_the_source_of_somebody_else_has_a_command_with_its_options(
    board: list[BoardSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = kaizen("sync", "board", "--help")
    assert "Read the boards of somebody else." in shown.stdout
    assert "board to read [env: BOARD_PROJECT]" in " ".join(shown.stdout.split())

    monkeypatch.setenv("BOARD_PROJECT", "q")
    ended = kaizen("sync", "board", "--label", "a", "--label", "b", "--deep", "--json", "--model", "offline")

    assert (ended.exit_code, ended.json["source"], ended.json["traces"]) == (0, "board", 1)
    assert board[-1] == BoardSettings(project="q", labels=("a", "b"), is_deep=True)


def test_several_projects_of_any_source_are_synced_in_one_run(board: list[BoardSettings]) -> None:
    ended = kaizen("sync", "board", "--all-projects", "--json", "--model", "offline")
    assert [report["project"] for report in ended.json["projects"]] == ["p", "q"]


def test_a_source_that_is_not_installed_is_answered_with_those_that_are(board: list[BoardSettings]) -> None:
    ended = kaizen("sync", "nowhere")
    assert ended.exit_code == 2
    assert "unknown source 'nowhere'; installed are: board, broken, claude-code, codex" in ended.error
    assert "install that beside kaizen-sync" in ended.error
    assert "Did you mean 'status'?" in kaizen("sync", "statsu").error
    broken = kaizen("sync", "broken")
    assert broken.exit_code == 1
    assert "source 'broken' does not import" in broken.error


def test_the_help_lists_the_sources_and_a_broken_one_breaks_nothing(board: list[BoardSettings]) -> None:
    ended = kaizen("sync", "--help")
    assert ended.exit_code == 0
    assert all(f"  {name} " in ended.stdout for name in ("board", "claude-code", "codex", "files", "phoenix"))
    assert "Warning: the command 'broken' (the source 'broken') is left out" in ended.stderr


def test_the_loop_of_a_coding_agent_ends_in_its_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    assert "name the project to read" in kaizen("sync", "claude-code").error
    for session in ("s1", "s2"):
        run = [user(f"Run the tests of {session}."), *RUN[1:]]
        lines = claude_lines(run, session=session, start=START)
        append(tmp_path / f"claude/projects/-work-app/{session}.jsonl", *lines)
    append(tmp_path / "claude/projects/-work-app/s3.jsonl", "no session")

    ended = kaizen("sync", "claude-code", "--project", "/work/app", "--model", "offline")
    assert ended.exit_code == 0
    assert kaizen("tips", "export", "--format", "agents.md", "--into", "CLAUDE.md").exit_code == 0
    with open("CLAUDE.md", encoding="utf-8") as file:
        assert "`uv run pytest` and not `pytest`" in file.read()

    again = kaizen("sync", "claude-code", "--project", "/work/app", "--model", "offline", "--json")
    assert (again.json["reading"], again.json["source"]) == ("nothing", "claude-code")
    relearned = kaizen("sync", "relearn", "--model", "offline", "--json")
    assert relearned.json["projects"][0]["states"]["learned"] >= 1


def test_what_could_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "chats.jsonl"
    append(path, {"messages": RUN}, "just a word")
    ended = kaizen("sync", "files", str(path), "--model", "offline")
    assert ended.exit_code == 0
    assert "not read: 1 values that are neither spans nor conversations" in ended.stderr
    as_json = kaizen("sync", "files", str(path), "--model", "offline", "--json").json
    assert list(as_json["unread"].values()) == [1]


@pytest.mark.parametrize(
    ("options", "taught"),
    [
        (["files", f"{EXAMPLES}/chats.jsonl"], "Multiply `amount` by 100"),
        (["files", f"{EXAMPLES}/otel.jsonl"], "Multiply `amount` by 100"),
        (["claude-code", "--project", "/work/app", "--claude-dir", f"{EXAMPLES}/claude"], "`uv run pytest`"),
        (["codex", "--project", "/work/app", "--codex-dir", f"{EXAMPLES}/codex"], "`uv run pytest`"),
    ],
)
def test_the_examples_teach_what_they_are_for(
    options: list[str], taught: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_CACHE_DIR", str(tmp_path / "cache"))
    ended = kaizen("sync", *options, "--model", "offline", "--json")
    assert (ended.json["states"]["learned"], ended.json["unread"]) == (2, {})
    [tip] = kaizen("tips", "list", "--json").json["entities"]
    assert taught in tip["content"]


def test_a_server_of_traces_is_synced_and_an_empty_one_is_not_told_of_phoenix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_CACHE_DIR", str(tmp_path / "cache"))
    assert "LANGFUSE_PUBLIC_KEY" in kaizen("sync", "langfuse").error
    with PlayedMlflow() as server:
        command = ("sync", "mlflow", "--url", server.url, "--project", "p", "--model", "offline")
        assert kaizen(*command).stderr.strip() == "Project 'p' has no traces yet"
        lines = (EXAMPLES / "otel.jsonl").read_text(encoding="utf-8").splitlines()
        server.put(span for line in lines for span in read_spans(json.loads(line)))

        ended = kaizen(*command, "--json")

        assert (ended.json["source"], ended.json["states"]["learned"]) == ("mlflow", 2)
        [tip] = kaizen("tips", "list", "--json").json["entities"]
        assert "Multiply `amount` by 100" in tip["content"]
