"""Commands are imported when they are used; other packages add theirs; what goes wrong is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Annotated

import pytest
import typer

from kaizen.cli import lazy
from tests.support.command import kaizen, kaizen_process

LOADED = """
import sys
from kaizen.cli.app import main
try:
    main()
except SystemExit:
    pass
import json
print(json.dumps(sorted(name for name in sys.modules if name.startswith("kaizen."))), file=sys.stderr)
"""


def hello() -> None:
    """Say hello."""
    print("hello")


def broken(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    raise KeyError("lost\nfor good")


def plugins(monkeypatch: pytest.MonkeyPatch, **values: str) -> list[str]:
    """Register commands of other packages; the list says how often somebody looked for them."""
    looked: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        looked.append(group)
        return [EntryPoint(name, value, group) for name, value in values.items()]

    monkeypatch.setattr(lazy, "entry_points", entry_points)
    return looked


def modules(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_help_of_all_imports_no_command_of_a_group_and_no_store() -> None:
    loaded = modules("--help")
    assert not {name for name in loaded if name.startswith(("kaizen.cli.entities.", "kaizen.cli.sync."))}
    assert not {name for name in loaded if name.startswith(("kaizen.store", "kaizen.sync"))}


def test_a_command_imports_itself_and_none_of_its_neighbours() -> None:
    loaded = modules("namespaces", "create", "--help")
    assert "kaizen.cli.namespaces.create" in loaded
    assert not {f"kaizen.cli.namespaces.{name}" for name in ("list", "info", "delete")} & loaded


def test_other_packages_add_commands_and_are_looked_for_only_when_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = plugins(monkeypatch, hello=f"{__name__}:hello")
    assert kaizen("namespaces", "list").exit_code == 0
    assert kaizen("tips", "--help").exit_code == 0
    assert looked == []
    assert "hello       Say hello." in kaizen("--help").stdout
    assert kaizen("hello").stdout == "hello\n"
    assert looked


def test_a_broken_plugin_is_one_line_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins(monkeypatch, hello=f"{__name__}:hello", odd="no.such.module:command")
    ended = kaizen("--help")
    assert (ended.exit_code, "Say hello." in ended.stdout) == (0, True)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Warning: the command 'odd' (no.such.module:command) is left out: ModuleNotFound")
    assert "No such command 'odd'" in kaizen("odd").error


def test_a_typing_slip_is_answered_with_what_was_meant() -> None:
    assert "Did you mean 'entities'?" in kaizen("entitis").error


def test_the_shell_is_given_the_commands_to_complete() -> None:
    environ = {"_KAIZEN_COMPLETE": "complete_bash", "COMP_WORDS": "kaizen tips re", "COMP_CWORD": "2"}
    ended = kaizen_process(environ=environ, timeout_s=120)
    assert ended.stdout.split() == ["retire", "review"]
    assert "--install-completion" in kaizen("--help").stdout


@pytest.mark.parametrize("debug", [None, "variable", "option"])
def test_what_nobody_foresaw_is_one_line_and_json_and_a_trace_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, debug: str | None
) -> None:
    plugins(monkeypatch, broken=f"{__name__}:broken")
    if debug == "variable":
        monkeypatch.setenv("KAIZEN_DEBUG", "true")
    options = ["--debug"] if debug == "option" else []
    ended = kaizen(*options, "broken", "--json")
    assert ended.exit_code == 70
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert "KeyError: 'lost\\nfor good'" in line
    assert ended.json["error"] == {"type": "KeyError", "message": line.removeprefix("Error: ")}
    assert ("Traceback" in ended.stderr) is (debug is not None)
    assert ("KAIZEN_DEBUG=true" in line) is (debug is None)
