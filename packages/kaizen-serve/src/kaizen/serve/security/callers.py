"""Find out who makes a request, by a token in its header or its cookie, and what that one may do."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import Request

from kaizen.serve.answers import answer_error, route_path
from kaizen.serve.errors import ForbiddenError, ServeError, UnauthorizedError
from kaizen.serve.security.hosts import is_sent_to_this_machine
from kaizen.serve.tokens import csrf_of, find_token

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from kaizen.serve.security.failures import Failures
    from kaizen.serve.settings import ServeSettings

COOKIE = "kaizen_token"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# What is there for whoever has no token yet.
_OPEN = ("/healthz", "/readyz", "/login", "/static/")

Endpoint = Callable[[Request], Awaitable["Response"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request, and what that one may do; nobody has a name without a token."""

    name: str = ""
    scopes: frozenset[str] = frozenset()
    cookie: str = ""
    """The secret, where it came in a cookie: then a form must prove that it is ours."""

    @property
    def actor(self) -> str:
        """Return who is named in commits."""
        return f"kaizen serve: {self.name}" if self.name else "kaizen serve"


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def may(request: Request, scope: str) -> bool:
    """Return whether the caller has the scope: `read`, `write` or `review`."""
    return scope in caller_of(request).scopes


def csrf_token(request: Request) -> str:
    """Return what a form must send as `csrf`, or a script as `X-CSRF-Token`; empty where none is needed."""
    cookie = caller_of(request).cookie
    return csrf_of(cookie) if cookie else ""


def require(scope: str) -> Callable[[Endpoint], Endpoint]:
    """Let only callers with that scope reach the endpoint."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            check_scope(caller_of(request), scope)
            return await endpoint(request)

        return guarded

    return decorate


def check_scope(caller: Caller, scope: str) -> None:
    """Raise `UnauthorizedError` or `ForbiddenError` unless the caller has the scope."""
    if scope in caller.scopes:
        return
    if not caller.name:
        raise UnauthorizedError(f"this needs a token with the scope {scope}: run `kaizen serve token NAME`")
    raise ForbiddenError(f"the token {caller.name} lacks the scope {scope}")


class Callers:
    """Put the caller into the request's state; refuse those who may not even read, and foreign forms."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, failures: Failures) -> None:
        self._app = app
        self._tokens = settings.known_tokens()
        self._is_private = settings.is_private
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            caller = self._caller(request)
            scope.setdefault("state", {})["caller"] = caller
            if not _is_open(route_path(scope)):
                check_scope(caller, "read")
            _check_form(request, caller)
        except ServeError as error:
            scope.setdefault("state", {}).setdefault("caller", Caller())
            await answer_error(request, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _caller(self, request: Request) -> Caller:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        cookie = request.cookies.get(COOKIE, "")
        if scheme.lower() == "bearer":
            if token := find_token(sent.strip(), self._tokens):
                return Caller(name=token.name, scopes=token.scopes)
            self._failures.refuse(request.client.host if request.client else "")
        # A cookie of before is no attempt: its browser is asked to log in.
        if cookie and (token := find_token(cookie, self._tokens)):
            return Caller(name=token.name, scopes=token.scopes, cookie=cookie)
        is_local = self._is_private and is_sent_to_this_machine(request)
        return Caller(scopes=frozenset({"read"}) if is_local else frozenset())


def _is_open(path: str) -> bool:
    return any(path.startswith(known) if known.endswith("/") else path == known for known in _OPEN)


def _check_form(request: Request, caller: Caller) -> None:
    """Raise `ForbiddenError` for a change that a browser sends with our cookie and without our word."""
    # Whoever logs in shows a token, and its origin is looked at there.
    if request.method in SAFE_METHODS or not caller.cookie or route_path(request.scope) == "/login":
        return
    sent = request.headers.get(CSRF_HEADER, "")
    if not sent and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(request.state.body.decode("utf-8", "replace"))
        sent = fields.get(CSRF_FIELD, [""])[0]
    if not hmac.compare_digest(sent.encode(), csrf_of(caller.cookie).encode()):
        raise ForbiddenError("this form is out of date, or not ours: load the page again")
