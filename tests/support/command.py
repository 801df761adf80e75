"""Running the `kaizen` command: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = (sys.executable, "-m", "kaizen.cli")
OLDER_SPELLING = (sys.executable, "-m", "kaizen.frontend.cli.cli")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The one line of a command that failed as it should."""
        assert self.exit_code != 0, self
        assert "Traceback" not in self.stderr, self.stderr
        (line,) = [line for line in self.stderr.splitlines() if line.startswith("Error: ")]
        return line


def kaizen(*arguments: object, stdin: str = "") -> Ended:
    """Run the command in this process; environment and signal handlers are as before afterwards."""
    from kaizen.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    exit_code: object = 0
    try:
        with (
            mock.patch.dict(os.environ),
            mock.patch.object(sys, "argv", ["kaizen", *map(str, arguments)]),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as ended:
        exit_code = ended.code or 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert isinstance(exit_code, int), exit_code
    return Ended(exit_code, out.getvalue(), err.getvalue())


def kaizen_process(
    *arguments: object,
    program: tuple[str, ...] = PROGRAM,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 180,
) -> Ended:
    """Run the command in a process of its own, with these variables besides the test's."""
    done = subprocess.run(
        [*program, *map(str, arguments)],
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
