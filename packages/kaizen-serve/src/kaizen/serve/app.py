"""Put the server together: what is shared, the routes, and what each request passes on its way to them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from kaizen.serve import observing, pages
from kaizen.serve.answers import Failsafe, answer_error
from kaizen.serve.api import routing
from kaizen.serve.context import Context
from kaizen.serve.mcp import http as mcp_http
from kaizen.serve.security.base_path import BasePath
from kaizen.serve.security.bounds import Bounds
from kaizen.serve.security.callers import Callers
from kaizen.serve.security.failures import Failures
from kaizen.serve.security.headers import SecurityHeaders
from kaizen.serve.security.hosts import Hosts
from kaizen.serve.security.login import login_routes
from kaizen.store import StoreError
from kaizen.sync import SyncError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.serve.settings import ServeSettings
    from kaizen.store import Store, StoreSettings


def create_app(settings: ServeSettings, store: Store, where: StoreSettings) -> Starlette:
    """Return the ASGI application for an open store, which it leaves open.

    `where` are the settings of the store: of them count the namespace, and whether candidates are tried.
    """
    context, metrics, failures = Context(settings, store, where), observing.Metrics(), Failures()
    manager = mcp_http.session_manager(context)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield
        context.close()

    app = Starlette(
        routes=[
            *observing.ROUTES,
            *login_routes(settings, failures),
            *routing.routes(where, metrics),
            mcp_http.route(manager),
            *pages.routes(),
        ],
        middleware=[
            Middleware(BasePath, base_path=settings.base_path),
            Middleware(observing.Observed, metrics=metrics),
            Middleware(SecurityHeaders),
            Middleware(Hosts, settings=settings),
            Middleware(Bounds),
            Middleware(Callers, settings=settings, failures=failures),
            Middleware(Failsafe),
        ],
        exception_handlers=dict.fromkeys((StoreError, SyncError, HTTPException), _failed),
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.metrics = metrics
    return app


async def _failed(request: Request, error: Exception) -> Response:
    return answer_error(request, error)
