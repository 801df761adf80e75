"""Run the server until it is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.serve.app import create_app
from kaizen.store import open_store

if TYPE_CHECKING:
    from kaizen.serve.settings import ServeSettings
    from kaizen.store import StoreSettings

_DRAIN_S = 10


def run_server(settings: ServeSettings, where: StoreSettings) -> None:
    """Serve the store until SIGTERM or Ctrl-C; what is under way then has ten seconds to end."""
    import uvicorn

    with open_store(where) as store:
        uvicorn.run(
            create_app(settings, store, where),
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=75,
            access_log=False,
            server_header=False,
            log_level="info",
        )
