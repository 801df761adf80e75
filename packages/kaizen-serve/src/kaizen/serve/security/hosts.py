"""Take only requests that are meant for this server, and not from pages of other sites (DNS rebinding)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from kaizen.serve.answers import answer_error
from kaizen.serve.errors import ServeError
from kaizen.serve.security.addresses import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from kaizen.serve.settings import ServeSettings

_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host")


class MisdirectedError(ServeError):
    """The request was sent to a name that is not this server's, or from another site."""

    status = 421


class Hosts:
    """Refuse a `Host` that is not allowed, and an `Origin` that is neither that host nor an allowed one."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._allowed = settings.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._check(request)
        except MisdirectedError as error:
            await answer_error(request, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, request: Request) -> None:
        host = request.headers.get("host", "")
        if host_name(host) not in self._allowed:
            raise MisdirectedError("this name is not this server's: add it to KAIZEN_SERVE_HOSTS")
        origin = request.headers.get("origin")
        if origin is not None and not self._is_own(urlsplit(origin).netloc, host):
            raise MisdirectedError("this was sent from a page of another site")

    def _is_own(self, origin: str, host: str) -> bool:
        name = host_name(origin)
        # Another port of this machine is another program's page.
        return origin == host or (name in self._allowed and not is_loopback(name))


def host_name(host: str) -> str:
    """Return the name of `name:port` in small letters; empty if it is not one."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_sent_to_this_machine(request: Request) -> bool:
    """Return whether a program of this machine sends it to this one, and no proxy for somebody else."""
    is_forwarded = any(name in request.headers for name in _FORWARDED)
    return is_loopback(host_name(request.headers.get("host", ""))) and not is_forwarded
