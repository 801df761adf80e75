"""Answer errors: RFC 9457 for programs, a page for people. The one place where an error becomes a status."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kaizen.serve.errors import ServeError, TooManyError, UnauthorizedError
from kaizen.store import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from kaizen.sync import SyncError
from kaizen.tips import one_line

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("kaizen.serve")

_STATUS_OF: tuple[tuple[type[Exception], int], ...] = (
    (InvalidInputError, 400),
    (NotFoundError, 404),
    (ConflictError, 409),
    (UnavailableError, 503),
    (SyncError, 502),
)
_FOR_PROGRAMS = ("/v1/", "/mcp", "/metrics", "/healthz", "/readyz", "/openapi.json")


def route_path(scope: Scope) -> str:
    """Return the path below the base path."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def status_of(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, ServeError):
        return error.status
    return next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 500)


def answer_error(request: Request, error: Exception) -> Response:
    """Return the answer; who lacks a token and looks at a page is sent to log in."""
    status = status_of(error)
    if status == 500 or isinstance(error, UnavailableError):
        # What went wrong inside is nobody's business but the operator's.
        _log.error("%s %s failed", request.method, route_path(request.scope), exc_info=error)
    detail = _detail(error, status)
    if _is_for_programs(request):
        return _with_advice(problem(status, detail), error)
    if isinstance(error, UnauthorizedError) and request.method == "GET":
        here = quote(route_path(request.scope), safe="/")
        return RedirectResponse(f"{request.scope.get('root_path', '')}/login?next={here}", 303)
    from kaizen.serve.pages import error_page

    return _with_advice(error_page(request, status, HTTPStatus(status).phrase, detail), error)


class Failsafe:
    """Answer what nobody expected, where the answer still passes all that other answers pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def noticed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            await answer_error(Request(scope, receive), error)(scope, receive, send)


def problem(status: int, detail: str) -> Response:
    """Return a problem as RFC 9457 has it; its type is about:blank, since the status says what kind it is."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(
        json.dumps(document), status_code=status, media_type="application/problem+json; charset=utf-8"
    )


def _detail(error: Exception, status: int) -> str:
    if isinstance(error, HTTPException):
        return error.detail
    # Where the store is, is the operator's business too.
    if isinstance(error, NotFoundError) and error.entity_id is None:
        return f"there is no namespace '{one_line(error.namespace_id)}', or not what was asked of it"
    if isinstance(error, UnavailableError):
        return "the store cannot be reached now: try again"
    return "the server failed; its log says how" if status == 500 else one_line(str(error))


def _is_for_programs(request: Request) -> bool:
    path = route_path(request.scope)
    return any(path.startswith(known) for known in _FOR_PROGRAMS)


def _with_advice(response: Response, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    if isinstance(error, UnauthorizedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyError):
        response.headers["Retry-After"] = "60"
    return response
