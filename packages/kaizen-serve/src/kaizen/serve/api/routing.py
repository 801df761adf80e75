"""The routes of the API, with its description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kaizen.serve.api import openapi
from kaizen.serve.api.snapshots import Snapshots

if TYPE_CHECKING:
    from starlette.requests import Request

    from kaizen.serve.observing import Metrics
    from kaizen.store import StoreSettings


def routes(where: StoreSettings, metrics: Metrics) -> list[Route]:
    return [
        Route("/openapi.json", _describe),
        *Snapshots(where, metrics).routes(),
        *(operation.route() for operation in openapi.OPERATIONS),
    ]


async def _describe(request: Request) -> Response:
    base = request.scope.get("root_path", "")
    return JSONResponse({**openapi.document(), "servers": [{"url": base or "/"}]})
