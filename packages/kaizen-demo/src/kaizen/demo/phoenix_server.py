"""Run a real Phoenix as a subprocess: on loopback, private, quiet, and gone afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Free ports on loopback, and nothing that calls home or waits for the network.
PRIVATE = {
    "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_PORT": "0",
    "PHOENIX_GRPC_PORT": "0",
    "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    "PHOENIX_ENABLE_MCP_SERVER": "false",
    "PHOENIX_LOG_MIGRATIONS": "false",
    "PHOENIX_LOGGING_LEVEL": "info",
    "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
}

# The settings of the user's own Phoenix must not reach this one.
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT")

# Phoenix ends with the process that started it, also if that is killed.
LAUNCHER = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, Linux only
except (AttributeError, OSError, TypeError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

LISTENING = re.compile(r"Uvicorn running on (http://\S+?:\d+)")
STOP_GRACE_S = 8.0


class PhoenixError(RuntimeError):
    """Phoenix could not be started; the message ends with the last lines of its log."""


class PhoenixServer:
    """Phoenix on a free port, with its data in ``working_dir``; start it from a thread that outlives it.

    :param executable: the ``phoenix`` command, best of an environment of its own.
    :param working_dir: gets the database and ``phoenix.log``; the caller removes it.
    :param deadline_s: how long it may take until it answers.
    """

    def __init__(self, executable: Path, working_dir: Path, *, deadline_s: float = 120.0) -> None:
        self._executable = executable
        self._working_dir = working_dir
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        if self._url is None:
            raise RuntimeError("Phoenix is not running: call start() or use it in a with statement")
        return self._url

    @property
    def log(self) -> Path:
        """What Phoenix wrote on stdout and stderr."""
        return self._working_dir / "phoenix.log"

    def start(self) -> PhoenixServer:
        """Start Phoenix and wait until it takes spans; raises PhoenixError with the reason if it does not."""
        self._working_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(self._executable, os.X_OK):
            raise PhoenixError(f"there is no executable Phoenix at {self._executable}")
        launcher = [sys.executable, "-I", "-c", LAUNCHER, str(os.getpid())]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*launcher, str(self._executable.absolute()), "serve"],
                cwd=self._working_dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own, so that what Phoenix starts can be ended with it.
                start_new_session=True,
            )
        try:
            self._url = self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop Phoenix and whatever it started; does nothing when it is not running."""
        process, self._process, self._url = self._process, None, None
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> PhoenixServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        directory = str(self._working_dir.resolve())
        return {
            **inherited,
            **PRIVATE,
            "HOME": directory,
            "TMPDIR": directory,
            "PHOENIX_WORKING_DIR": directory,
            "PHOENIX_SQL_DATABASE_URL": f"sqlite:///{directory}/phoenix.db",
            "PYTHONUNBUFFERED": "1",
        }

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + self._deadline_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise PhoenixError(f"Phoenix ended with exit code {process.returncode}{self._tail()}")
            listening = LISTENING.search(self.log.read_text(encoding="utf-8", errors="replace"))
            if listening and _answers(listening[1] + "/healthz") and _answers(listening[1] + "/readyz"):
                return listening[1]
            time.sleep(0.1)
        raise PhoenixError(f"Phoenix did not answer within {self._deadline_s:g} s{self._tail()}")

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "; the end of its log:\n" + "\n".join(lines[-15:]) if lines else "; its log is empty"


def _answers(url: str) -> bool:
    # a proxy in the environment is no way to reach a loopback port
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # the group is gone already
        return
