"""Serve below a path, behind a proxy that takes that path off the address or leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class BasePath:
    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app = app
        self._base = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._base and scope["type"] == "http":
            path: str = scope["path"]
            is_whole = path == self._base or path.startswith(f"{self._base}/")
            # Routes are below `root_path` (ASGI, "HTTP Connection Scope": path includes it).
            scope = {**scope, "root_path": self._base, "path": path if is_whole else self._base + path}
        await self._app(scope, receive, send)
