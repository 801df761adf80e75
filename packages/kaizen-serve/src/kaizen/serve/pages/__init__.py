"""The pages for people: server-rendered, without a build step, usable without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kaizen.serve.pages import overview, review, runs, tip, tips, trying
from kaizen.serve.pages.rendering import STATIC, environment, page_values, render, static_version

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Scope

_FOR_EVER = "public, max-age=31536000, immutable"


class _StaticFiles(StaticFiles):
    """Files whose address changes with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _FOR_EVER
        return response


def routes() -> list[BaseRoute]:
    """Return the routes of all pages, and of the static files."""
    ns = "/ns/{namespace}"
    return [
        Route("/", overview.overview),
        Route("/login", login_page),
        Route(ns, overview.overview),
        Route(f"{ns}/tips", tips.tips),
        Route(f"{ns}/tips", tips.change_tips, methods=["POST"]),
        Route(f"{ns}/tips/{{tip_id:path}}", tip.tip),
        Route(f"{ns}/effect/{{tip_id:path}}", tip.effect),
        Route(f"{ns}/evidence/{{evidence_id:path}}", tip.evidence),
        Route(f"{ns}/edit/{{tip_id:path}}", tip.edit_form),
        Route(f"{ns}/edit/{{tip_id:path}}", tip.edit, methods=["POST"]),
        Route(f"{ns}/preview/{{tip_id:path}}", tip.preview, methods=["POST"]),
        Route(f"{ns}/retire/{{tip_id:path}}", tip.retire, methods=["POST"]),
        Route(f"{ns}/pin/{{tip_id:path}}", tip.pin, methods=["POST"]),
        Route(f"{ns}/undo", tip.undo, methods=["POST"]),
        Route(f"{ns}/review", review.review),
        Route(f"{ns}/review", review.decide, methods=["POST"]),
        Route(f"{ns}/runs", runs.runs),
        Route(f"{ns}/retry", runs.retry, methods=["POST"]),
        Route(f"{ns}/runs/{{run_id:path}}", runs.run),
        Route(f"{ns}/recall", trying.try_recall, methods=["GET", "POST"]),
        Mount(f"/static/{static_version()}", _StaticFiles(directory=str(STATIC)), name="static"),
    ]


async def login_page(request: Request) -> Response:
    """Ask for a token; `next` is the page that was wanted."""
    return await render(request, "login.html", next=request.query_params.get("next", "/"))


def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """Return the page that says what went wrong, and asks for a token where one is needed; never raises."""
    template = environment().get_template("error.html")
    values = page_values(request)
    return HTMLResponse(
        template.render(values | {"status": status, "title": title, "detail": detail}), status_code=status
    )
