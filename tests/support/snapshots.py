"""Snapshots as recall reads them, and servers that give them out, well or badly."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def tip(tip_id: str = "t1", **fields: Any) -> dict[str, Any]:
    """A tip as it is served."""
    return {"id": tip_id, "revision": 1, "content": f"lesson {tip_id}", **fields}


def many_tips(count: int, tools: int = 500) -> list[dict[str, Any]]:
    """Tips of a usual size about many tools, all different."""
    words = [
        "order",
        "refund",
        "invoice",
        "shipment",
        "customer",
        "account",
        "booking",
        "flight",
        "hotel",
        "address",
        "payment",
        "status",
    ]
    return [
        tip(
            f"tip-{number:06}",
            content=f"Give tool_{number % tools} the {words[number % 12]} number {number} as text, "
            f"since it answers an error for {words[number // 12 % 12]} of kind k{number % 997} otherwise.",
            steps=[f"Look up the {words[number % 7]} first", f"Then call tool_{number % tools} once"],
            trigger=f"A {words[number // 144 % 12]} of region r{number % 313} is to be changed",
            task=f"Change a {words[number % 11]} for a customer",
            category="strategy",
            tools={f"tool_{number % tools}": f"{number % tools:016x}"},
            support=count - number,
        )
        for number in range(count)
    ]


def document(given: list[Any], /, **changes: Any) -> bytes:
    """A snapshot's document; `changes` replace its fields, and those that are None are left out."""
    canonical = json.dumps(given, sort_keys=True, separators=(",", ":"))
    fields = {
        "format": "kaizen-recall",
        "schema_version": 1,
        "namespace": "kaizen",
        "digest": hashlib.sha256(canonical.encode()).hexdigest(),
        "tips": given,
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


class SnapshotServer:
    """Answers each request as `answer` says; counts the requests and keeps their headers."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answer = answer
        self.requests: list[dict[str, str]] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append({"path": self.path, **dict(self.headers.items())})
                with contextlib.suppress(OSError):  # whoever asked may have left
                    server.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing goes to stderr."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[SnapshotServer]:
    server = SnapshotServer(answer)
    try:
        yield server
    finally:
        server.close()


def giving(
    data: bytes, *, etag: str = '"1"', compress: bool = False
) -> Callable[[BaseHTTPRequestHandler], None]:
    """The answer of a good server."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("If-None-Match") == etag:
            request.send_response(304)
            request.end_headers()
            return
        body = gzip.compress(data) if compress else data
        request.send_response(200)
        request.send_header("ETag", etag)
        if compress:
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer
