"""Running agents as processes of their own, with a collector to send to and a model to call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
TIMEOUT_S = 100
# What the SDK loads with its first client and its first calls, and register() with the first exporter.
OPENAI = (
    "openai",
    "openai.resources.chat.completions.completions",
    "openai.resources.responses",
    "openai.resources.embeddings",
    "httpcore",
    "httpcore2",
)
TRACING = ("phoenix.otel", "openinference.instrumentation.openai", "requests", "asyncio", "logging")
# Every client of the SDK reads the authorities it trusts, longer than a call takes; this is one, of nobody.
AUTHORITIES = Path(__file__).with_name("nobody.pem")


def run_python(
    source: str,
    *,
    folder: Path,
    collector_url: str,
    model_url: str,
    enabled: bool = True,
    timeout_s: float = TIMEOUT_S,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run source as `agent.py` in a folder, and return how it ended, with stdout and stderr as text.

    Nothing is inherited from the environment but what a process needs to run; an empty value unsets.
    """
    agent = folder / "agent.py"
    agent.write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, str(agent)],
        env=environment_of(collector_url, model_url, enabled, environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def environment_of(
    collector_url: str, model_url: str, enabled: bool, environment: dict[str, str]
) -> dict[str, str]:
    given = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "KAIZEN_AUTO_ENABLED": "true" if enabled else "",
        "KAIZEN_TRACING_ENDPOINT": collector_url,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "no-key",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "SSL_CERT_FILE": str(AUTHORITIES),
        **environment,
    }
    return {name: value for name, value in given.items() if value}


class WarmPython:
    """A Python that has done the slow imports, and becomes an agent's process by forking.

    Importing the OpenAI SDK takes more than a second of CPU, which most tests are not about. Whoever wants
    to see the framework executed after Kaizen names it in `fresh`; a test of what gets imported at all wants
    `run_python`.
    """

    def __init__(self, *modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forking.py")), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment_of("", "", False, {}),
            text=True,
        )

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(
        self,
        source: str,
        *,
        folder: Path,
        collector_url: str,
        model_url: str,
        enabled: bool = True,
        fresh: tuple[str, ...] = (),
        teardown: bool = False,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """What `run_python` does, in a fork; `teardown` says that it ends all the way as Python does."""
        agent, output, errors = folder / "agent.py", folder / "stdout", folder / "stderr"
        agent.write_text(textwrap.dedent(source))
        request = {
            "agent": str(agent),
            "environment": environment_of(collector_url, model_url, enabled, environment),
            "output": str(output),
            "errors": str(errors),
            "fresh": fresh,
            "teardown": teardown,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        watchdog = threading.Timer(TIMEOUT_S, _kill, [child])
        watchdog.start()
        try:
            returncode = int(self._process.stdout.readline())
        finally:
            watchdog.cancel()
        return subprocess.CompletedProcess([str(agent)], returncode, output.read_text(), errors.read_text())


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
