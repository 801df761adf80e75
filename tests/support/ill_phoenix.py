"""An HTTP server that plays a Phoenix which is ill, one answer after the other."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from tests.support.quiet_server import QuietHandler, QuietServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

VERSION = "20.26.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; ``fault`` says how it fails.

    ``cut`` and ``drop`` end the connection after the headers or before them, ``hang`` says nothing at all,
    ``drip`` sends the answer byte by byte, ``drip body`` all that follows the headers.
    """

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["", "cut", "drop", "hang", "drip", "drip body"] = ""

    def content(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    trace_ids: tuple[str, ...] = ()


def page(*data: Any, cursor: str | None = None) -> Answer:
    """A page as Phoenix gives it."""
    return Answer(body={"data": list(data), "next_cursor": cursor})


PROJECTS = page({"id": "UHJvamVjdDox", "name": "p"})


class IllPhoenix:
    """Gives the answers in turn, the last one for ever; or what a function of the request says."""

    def __init__(self, *answers: Answer | Callable[[Request], Answer]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._http = QuietServer(self, _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from the next connection on."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer if isinstance(answer, Answer) else answer(request)

    def __enter__(self) -> IllPhoenix:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(QuietHandler):
    server: QuietServer[IllPhoenix]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        # A proxy is asked for a whole URL.
        path = f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.scheme else parts.path
        query = parse_qsl(parts.query)
        trace_ids = tuple(value for name, value in query if name == "trace_id")
        answer = self.server.owner.answer(Request(path, dict(query), headers, trace_ids))
        if answer.fault == "hang":
            self.server.owner.stopping.wait()
        if answer.fault in ("hang", "drop"):
            self.close_connection = True
            return
        content = answer.content()
        if answer.fault == "drip":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 10_000)
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in {"x-phoenix-server-version": VERSION, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.fault == "drip body":
            self._drip(content)
            return
        self.wfile.write(content[: len(content) // 2] if answer.fault == "cut" else content)
        self.wfile.flush()
        self.close_connection = answer.fault == "cut"

    def _drip(self, content: bytes) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.owner.stopping.wait(0.05):
                break
        self.close_connection = True
