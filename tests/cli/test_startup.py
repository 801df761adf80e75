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
import json, sys, resource
from kaizen.cli.app import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
cpu = resource.getrusage(resource.RUSAGE_SELF)
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"loaded": loaded, "cpu_s": cpu.ru_utime + cpu.ru_stime}))
"""


def start(*arguments: str) -> tuple[set[str], float]:
    """The packages that a command loads, and the CPU time it takes in all."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    return set(seen["loaded"]), seen["cpu_s"]


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    loaded, cpu_s = start("--help")
    assert loaded.isdisjoint({*HEAVY, "pydantic"})
    # several times what it takes, and less than what one of them would add on a slow machine
    assert cpu_s < 1.5


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
    loaded, cpu_s = start(*command.split())
    assert loaded.isdisjoint(HEAVY)
    assert cpu_s < 2
