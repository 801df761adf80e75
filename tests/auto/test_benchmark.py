"""The benchmark runs, and what it says of the installed size is within what was promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.slow import only_where_slow

ROOT = Path(__file__).parents[2]

# Read when the module is imported: every test gets a cleared environment.


@only_where_slow
def test_the_benchmark_prints_its_table() -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/auto.py"), "--quick"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line.split("|") for line in ended.stdout.splitlines() if "|" in line]
    rows = {line[1].strip(): line[2:-1] for line in lines}
    assert rows["import, disabled"][4].endswith("`kaizen`, `kaizen.auto` ")
    assert rows["call of 2 messages, CPU"][4].strip().endswith("ms")
    count, size = rows["installed"][4].replace(" MB", "").split(",")
    assert (int(count) <= 32, float(size) <= 35) == (True, True), ended.stdout
