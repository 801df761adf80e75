"""A small OTLP collector over HTTP that records spans, and misbehaves on demand.

Its path `/ingest` takes what the OpenAI Agents SDK sends to OpenAI of its own accord.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from types import TracebackType

PROJECT = "openinference.project.name"


@dataclass(frozen=True)
class Span:
    """One span as it arrived."""

    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str | None
    attributes: dict[str, Any] = field(repr=False)
    resource: dict[str, Any] = field(repr=False)
    status: str = "UNSET"
    said: str = ""
    exceptions: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        return str(self.resource.get(PROJECT, ""))

    @property
    def kind(self) -> str | None:
        return self.attributes.get("openinference.span.kind")


@dataclass(frozen=True)
class Export:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    spans: list[Span]


class Collector:
    """Takes spans on a free loopback port.

    :param status: what it answers; anything but 200 records nothing.
    :param silent: read the request, never answer.
    :param delay_s: how long it takes to answer.
    """

    def __init__(
        self,
        *,
        status: int = 200,
        silent: bool = False,
        delay_s: float = 0.0,
        largest_batch: int | None = None,
    ) -> None:
        self.status = status
        self.silent = silent
        self.delay_s = delay_s
        self.largest_batch = largest_batch
        self.exports: list[Export] = []
        self.ingested: list[dict[str, Any]] = []
        self.attempts = 0
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.collector = self

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [span for export in list(self.exports) for span in export.spans]

    def of_kind(self, kind: str) -> list[Span]:
        return [span for span in self.spans if span.kind == kind]

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.attempts += 1
        if self.silent:
            self._stopping.wait(60)
            return
        self._stopping.wait(self.delay_s)
        if handler.path == "/ingest":
            self.ingested += json.loads(body)["data"]
            self._say(handler, 200)
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        spans = decode(body)
        status = self.status
        if status == 200 and self.largest_batch is not None and len(spans) > self.largest_batch:
            status = 413
        if status == 200:
            self.exports.append(Export(handler.path, headers, spans))
        self._say(handler, status)

    def _say(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.send_response(status)
        handler.send_header("content-length", "0")
        handler.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    collector: Collector


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.collector.answer(self, body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def decode(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        Span(
            name=span.name,
            scope=scope_spans.scope.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex() or None,
            attributes=_attributes(span.attributes),
            resource=_attributes(resource_spans.resource.attributes),
            status=("UNSET", "OK", "ERROR")[span.status.code],
            said=span.status.message,
            exceptions=tuple(
                str(_attributes(event.attributes).get("exception.type", ""))
                for event in span.events
                if event.name == "exception"
            ),
        )
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value") or "string_value"
    return (
        [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )


def closed_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
