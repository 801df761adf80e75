"""Sends a batch of spans to the collector: one attempt, short timeouts, over HTTP or gRPC."""

from __future__ import annotations

import gzip
import http.client
import os
import ssl
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen.auto.configuration import Configuration
    from kaizen.auto.pipeline.fitting import Limits

MAX_BODY_BYTES = 4_000_000
# Worth another try later; everything else would be refused again.
TRANSIENT = (408, 429, 500, 502, 503, 504)
HINTS = {
    401: " (set PHOENIX_API_KEY)",
    403: " (check PHOENIX_API_KEY)",
    404: " (is this the URL of a Phoenix server?)",
    405: " (is this the URL of a Phoenix server?)",
    413: " (a span larger than the collector accepts)",
}


class Outcome(NamedTuple):
    """Hold the result of one attempt; with `may_retry`, the same spans may be sent later."""

    delivered: bool
    may_retry: bool = False
    error: str = ""


class Sender(Protocol):
    """Something that can deliver a batch of spans."""

    def send(self, spans: Sequence[ReadableSpan]) -> Outcome: ...

    def after_fork(self) -> None: ...


def make_sender(configuration: Configuration) -> Sender:
    return GrpcSender(configuration) if configuration.protocol == "grpc" else HttpSender(configuration)


def encode(spans: Sequence[ReadableSpan], limits: Limits) -> Any:
    """Return the export request for spans, within the limits."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    from kaizen.auto.pipeline.fitting import fit

    return encode_spans([fit(span, limits) for span in spans])


class HttpSender:
    """Send OTLP over HTTP, protobuf bodies on one kept-alive connection; for one thread at a time."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._connection: http.client.HTTPConnection | None = None

    def send(self, spans: Sequence[ReadableSpan]) -> Outcome:
        body = encode(spans, self._configuration.limits).SerializeToString()
        if len(body) > MAX_BODY_BYTES and len(spans) > 1:
            return self._send_halves(spans)
        outcome, status = self._post(body)
        if status == 413 and len(spans) > 1:
            return self._send_halves(spans)
        return outcome

    def after_fork(self) -> None:
        self._connection = None

    def _send_halves(self, spans: Sequence[ReadableSpan]) -> Outcome:
        middle = len(spans) // 2
        first = self.send(spans[:middle])
        return self.send(spans[middle:]) if first.delivered else first

    def _post(self, body: bytes) -> tuple[Outcome, int]:
        url = self._configuration.endpoint
        headers = {"content-type": "application/x-protobuf", **self._configuration.headers}
        if self._configuration.gzip:
            body = gzip.compress(body)
            headers["content-encoding"] = "gzip"
        fresh = self._connection is None
        try:
            status = self._request(body, headers)
        except (http.client.HTTPException, ConnectionError) as exc:
            self._close()
            # A collector closes connections that were idle; that is not a failed attempt.
            if fresh or isinstance(exc, ConnectionRefusedError):
                return Outcome(False, may_retry=True, error=f"{url}: {exc or type(exc).__name__}"), 0
            return self._post(body if not self._configuration.gzip else gzip.decompress(body))
        except (OSError, ValueError) as exc:
            self._close()
            return Outcome(False, may_retry=True, error=f"{url}: {exc or type(exc).__name__}"), 0
        if 200 <= status < 300:
            return Outcome(True), status
        self._close()
        error = f"{url} answered {status}{HINTS.get(status, '')}"
        return Outcome(False, may_retry=status in TRANSIENT, error=error), status

    def _request(self, body: bytes, headers: dict[str, str]) -> int:
        if self._connection is None:
            self._connection = connect(self._configuration)
        target = getattr(self._connection, "target", "/")
        self._connection.request("POST", target, body=body, headers=headers)
        response = self._connection.getresponse()
        response.read(MAX_BODY_BYTES)
        return response.status

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(configuration: Configuration) -> http.client.HTTPConnection:
    """Open a connection to the collector, through the environment's proxy unless it is this machine."""
    url = urlsplit(configuration.endpoint)
    host, path = url.hostname or "", url.path + (f"?{url.query}" if url.query else "")
    proxy = None if configuration.is_local else _proxy(url.scheme, url.netloc)
    server = urlsplit(proxy) if proxy else url
    default_port = 443 if server.scheme == "https" else 80
    timeout_s = configuration.connect_timeout_s
    hostname, port = server.hostname or "", server.port or default_port
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = _tls_context(configuration.certificate)
        connection = http.client.HTTPSConnection(hostname, port, timeout=timeout_s, context=context)
        if proxy:
            connection.set_tunnel(host, url.port or 443, _proxy_authorization(server))
    else:
        connection = http.client.HTTPConnection(hostname, port, timeout=timeout_s)
    connection.connect()
    connection.sock.settimeout(configuration.read_timeout_s)
    target = configuration.endpoint if proxy and url.scheme == "http" else path
    connection.target = target  # type: ignore[attr-defined]
    return connection


def _proxy(scheme: str, netloc: str) -> str | None:
    if urllib.request.proxy_bypass(netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}


def _tls_context(certificate: str | None) -> ssl.SSLContext:
    bundle = certificate or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    context = ssl.create_default_context(cafile=bundle or None)
    if not bundle and not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context


class GrpcSender:
    """Send OTLP over gRPC, without the retries of OpenTelemetry's exporter."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._stub: Any = None

    def send(self, spans: Sequence[ReadableSpan]) -> Outcome:
        import grpc  # type: ignore[import-untyped]

        if self._stub is None:
            self._stub = self._connect()
        try:
            self._stub.Export(
                encode(spans, self._configuration.limits),
                timeout=self._configuration.read_timeout_s,
                metadata=tuple(self._configuration.headers.items()),
            )
        except grpc.RpcError as exc:
            code = exc.code() if isinstance(exc, grpc.Call) else None
            may_retry = code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            name = code.name if code is not None else type(exc).__name__
            return Outcome(False, may_retry=may_retry, error=f"{self._configuration.endpoint} (gRPC): {name}")
        return Outcome(True)

    def after_fork(self) -> None:
        self._stub = None

    def _connect(self) -> Any:
        import grpc
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

        stub: Any = TraceServiceStub
        url = urlsplit(self._configuration.endpoint)
        options = (("grpc.enable_http_proxy", 0),) if self._configuration.is_local else ()
        if url.scheme == "http":
            target = url.netloc if url.port else f"{url.netloc}:4317"
            return stub(grpc.insecure_channel(target, options=options))
        root = None
        if self._configuration.certificate:
            with open(self._configuration.certificate, "rb") as file:
                root = file.read()
        target = url.netloc if url.port else f"{url.netloc}:443"
        credentials = grpc.ssl_channel_credentials(root_certificates=root)
        return stub(grpc.secure_channel(target, credentials, options=options))
