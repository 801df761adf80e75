"""Let a browser in: its token goes into a cookie that no script can read and no other site can send."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse
from starlette.routing import Route

from kaizen.serve.errors import ForbiddenError
from kaizen.serve.security.callers import COOKIE
from kaizen.serve.tokens import find_token

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.serve.security.failures import Failures
    from kaizen.serve.settings import ServeSettings

_LASTS_S = 12 * 3600


def login_routes(settings: ServeSettings, failures: Failures) -> list[Route]:
    """Return where a browser sends its `token`, and `next`, the page that it wants; and the way out."""
    known = settings.known_tokens()

    async def log_in(request: Request) -> Response:
        _check_origin(request)
        fields = parse_qs(request.state.body.decode("utf-8", "replace"))
        secret = fields.get("token", [""])[0].strip()
        if find_token(secret, known) is None:
            failures.refuse(request.client.host if request.client else "")
        response = RedirectResponse(_own_page(request, fields.get("next", ["/"])[0]), 303)
        _set_cookie(request, response, secret, max_age=_LASTS_S)
        return response

    async def log_out(request: Request) -> Response:
        response = RedirectResponse(_own_page(request, "/"), 303)
        _set_cookie(request, response, "", max_age=0)
        return response

    return [Route("/login", log_in, methods=["POST"]), Route("/logout", log_out, methods=["POST"])]


def _check_origin(request: Request) -> None:
    """Raise `ForbiddenError` for a form of another page, which would log its reader in as somebody else.

    An `Origin` of another site was refused before.
    """
    if "origin" not in request.headers and request.headers.get("sec-fetch-site") != "same-origin":
        raise ForbiddenError("log in with the form of this server")


def _own_page(request: Request, path: str) -> str:
    # Two slashes begin the address of another server, and so does what browsers take for a slash.
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return f"{request.scope.get('root_path', '')}{path if is_own else '/'}"


def _set_cookie(request: Request, response: Response, value: str, *, max_age: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=max_age,
        path=request.scope.get("root_path", "") or "/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
