"""The pages for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Return the routes of all pages, and of the static files."""
    return []


def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """Return the page that says what went wrong; never raises."""
    return PlainTextResponse(f"{title}: {detail}\n", status_code=status)
