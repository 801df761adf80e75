"""What it costs to start the command: heavy imports wait until they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import kaizen

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("litellm", "httpx", "rich", "phoenix", "numpy", "pandas", "openai", "tenacity", "detect_secrets")

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
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help").isdisjoint({*HEAVY, "pydantic"})


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
