"""See what the server does: one line a request in the log, counts for Prometheus, health and readiness."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kaizen.serve.context import context_of
from kaizen.store import StoreError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("kaizen.serve.access")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counts of one app; two apps of one process have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("kaizen_serve_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "kaizen_serve_request_seconds",
            "Seconds until an answer was sent.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.running = Gauge("kaizen_serve_requests_running", "Requests under way.", registry=self.registry)
        self.snapshots = Counter(
            "kaizen_serve_snapshots_built", "Snapshots read from the store.", registry=self.registry
        )

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Observed:
    """Count each request and write it down: never its query, its headers or its body."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def with_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.running.track_inprogress():
                await self._app(scope, receive, with_status)
        finally:
            self._observe(scope, status, time.perf_counter() - began)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        # The pattern, not the path: each id would be a count of its own, and may say what it is about.
        route = getattr(scope.get("route"), "path", None) or "(none)"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        caller = scope.get("state", {}).get("caller")
        client, name = (scope.get("client") or ("-",))[0], getattr(caller, "name", "") or "-"
        _log.info("%s %s %s %s %d %.1fms", client, name, method, route, status, 1e3 * seconds)


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def _metrics(request: Request) -> Response:
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _is_healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _is_ready(request: Request) -> Response:
    """Answer 200 if the store can be read."""
    context = context_of(request)
    try:
        await context.read(context.store.list_namespaces)
    except StoreError:
        # Why is in the log of who can read it: anybody may ask this.
        _log.warning("the store cannot be read", exc_info=True)
        return PlainTextResponse("the store cannot be read\n", status_code=503)
    return PlainTextResponse("ok\n")


ROUTES = [Route("/healthz", _is_healthy), Route("/readyz", _is_ready), Route("/metrics", _metrics)]
