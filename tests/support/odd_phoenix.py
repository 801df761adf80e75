"""An HTTP server that answers as no healthy Phoenix does, for what a real one cannot be made to do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered; `hang` waits until the server stops instead."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False


class OddPhoenix:
    """Answers every request the same; `requests` has the paths asked for."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._http = _Server(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> OddPhoenix:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: OddPhoenix) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own affair."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.requests.append(self.path)
        if owner.answer.hang:
            owner.stopping.wait()
            return
        content = owner.answer.body.encode()
        self.send_response(owner.answer.status)
        self.send_header("Content-Type", owner.answer.content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in owner.answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
