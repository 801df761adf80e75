"""What it costs to start the command: heavy imports wait until they are needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import kaizen

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("litellm", "httpx", "rich", "phoenix", "numpy", "pandas", "openai", "tenacity")

LOADED = """
import json, sys
from kaizen.cli.app import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a command loads."""
    # readline, which a test may have loaded, sets COLUMNS behind Python's back, and tables are drawn then.
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(arguments: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KAIZEN_TIPS_MODEL=m\n")
    assert loaded_by(arguments).isdisjoint({*HEAVY, "pydantic", "pydantic_settings", "dotenv"})


@pytest.mark.parametrize("arguments", ["sync phoenix --help", "doctor --help"])
def test_help_of_a_command_loads_no_settings(arguments: str, tmp_path: Path) -> None:
    """Typer itself loads pydantic for a command that has options."""
    (tmp_path / ".env").write_text("KAIZEN_TIPS_MODEL=m\n")
    assert loaded_by(*arguments.split()).isdisjoint({*HEAVY, "pydantic_settings", "dotenv"})


@pytest.mark.parametrize(
    "command",
    [
        "entities list kaizen",
        "entities list kaizen --all --json",
        "entities history kaizen",
        "entities export kaizen --format markdown",
        "namespaces info kaizen",
    ],
)
def test_looking_at_a_store_loads_nothing_of_the_sync(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path))
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    assert kaizen("entities", "add", "kaizen", "--content", "x").exit_code == 0
    assert loaded_by(*command.split()).isdisjoint(HEAVY)
