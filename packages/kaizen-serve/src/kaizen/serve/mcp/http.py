"""MCP over HTTP: each request stands alone, so that any process of several may answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.routing import Route

from kaizen.serve.mcp.server import build_server

if TYPE_CHECKING:
    from typing import Any

    from mcp.server import ServerRequestContext

    from kaizen.serve.context import Context
    from kaizen.serve.security.callers import Caller

PATH = "/mcp"


def session_manager(context: Context) -> StreamableHTTPSessionManager:
    """Return what answers the requests; it must run as long as the app does."""
    # Hosts, origins and sizes were checked before.
    return StreamableHTTPSessionManager(build_server(context, _caller), json_response=True, stateless=True)


def route(manager: StreamableHTTPSessionManager) -> Route:
    # Without sessions there is nothing to listen to and nothing to end (MCP, "Streamable HTTP": 405 then).
    return Route(PATH, StreamableHTTPASGIApp(manager), methods=["POST"])


def _caller(of: ServerRequestContext[Any]) -> Caller:
    assert of.request is not None
    caller: Caller = of.request.state.caller
    return caller
