"""Leave something to look at: tips that were measured, and the page that shows them, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.demo.errors import DemoError
from kaizen.demo.experiment import RUNS, play_experiment
from kaizen.store import open_store

if TYPE_CHECKING:
    from kaizen.store import StoreSettings

_STARTS_WITHIN_S = 60.0
_PORT = 8765


def can_be_looked_at() -> bool:
    """Return whether the page is installed here."""
    return find_spec("kaizen.serve") is not None


def look(where: StoreSettings, namespace_id: str, say: Callable[[str], None]) -> None:
    """Measure tips in an experiment, and serve the page until Ctrl-C."""
    say(f"7. {RUNS} runs of an agent without a model, some of them without tips, show what tips do ...")
    with open_store(where) as store:
        play_experiment(store, namespace_id)
    token, line = _token()
    environ = {
        **os.environ,
        "KAIZEN_BACKEND": where.backend,
        "KAIZEN_DATA_DIR": str(where.data_dir),
        "KAIZEN_NAMESPACE_ID": namespace_id,
        "KAIZEN_SERVE_TOKENS": line,
        "KAIZEN_SERVE_PORT": str(_free_port()),
    }
    with _serving(environ, Path(where.data_dir).parent / "serve.log") as (process, url):
        say(f"8. Look at it: {url}")
        say(f"   To decide on tips there, log in with the token {token}")
        say("   Ctrl-C stops and removes everything.")
        process.wait()


def _token() -> tuple[str, str]:
    """Return a token that may review, and the line by which the server knows it."""
    said = subprocess.run(
        [sys.executable, "-m", "kaizen.cli", "serve", "token", "demo", "--scope", "review"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    token, line = (part.rpartition(": ")[2] for part in said.splitlines()[:2])
    return token, line


@contextmanager
def _serving(environ: Mapping[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve until it ends, and give its address once it answers. Raises `DemoError` if it does not."""
    url = f"http://127.0.0.1:{environ['KAIZEN_SERVE_PORT']}"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "kaizen.cli", "serve"], env=environ, stdout=said, stderr=said
        )
    try:
        _wait_for(process, url, log)
        yield process, url
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.2)
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    raise DemoError(f"the page did not start: {said[-1000:] or 'it does not answer'}")


def _free_port() -> int:
    """Return the port that `kaizen serve` has by default, or a free one if that is taken."""
    for port in (_PORT, 0):
        with socket.socket() as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return int(listening.getsockname()[1])
    raise DemoError("no port is free for the page")
