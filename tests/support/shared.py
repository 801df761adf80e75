"""What the processes of a parallel test run share: servers, and answers that take long to get."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from tests.support.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Running(Protocol):
    @property
    def url(self) -> str: ...

    def stop(self) -> object: ...


class SharedServer:
    """A server that this process or another one of the same test run has started."""

    def __init__(self, url: str) -> None:
        self.url = url


@contextmanager
def shared_server(directory: Path, start: Callable[[], Running]) -> Iterator[SharedServer]:
    """A server for every process that names the same directory."""
    directory.mkdir(exist_ok=True)
    server: Running | None = None

    def join(state: dict[str, Any]) -> str:
        nonlocal server
        if not state.get("users"):
            server = start()
            state["url"] = server.url
        state["users"] = state.get("users", 0) + 1
        return str(state["url"])

    def leave(state: dict[str, Any]) -> None:
        state["users"] -= 1

    def alone(state: dict[str, Any]) -> bool:
        if state["users"] > 1:
            return False
        state["users"] = 0
        return True

    url = _update(directory, join)
    try:
        yield SharedServer(url)
    finally:
        if server is None:
            _update(directory, leave)
        else:
            try:
                wait_until(lambda: _update(directory, alone), what="other users of the server", timeout_s=300)
            finally:
                server.stop()


def _update(directory: Path, change: Callable[[dict[str, Any]], Any]) -> Any:
    """Change the state that all processes share, one at a time."""
    with open(directory / "users.json", "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        state = json.loads(text) if text else {}
        result = change(state)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(state))
        file.flush()
    return result


def once_a_run(answer: Path, make: Callable[[], Any]) -> Any:
    """What `make` says as JSON, called by whichever process of a test run comes first."""
    with open(answer.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            answer.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(answer.read_text(encoding="utf-8"))
