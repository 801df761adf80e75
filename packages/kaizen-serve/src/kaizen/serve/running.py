"""Run the server until it is told to stop."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from kaizen.serve.app import create_app
from kaizen.store import open_store

if TYPE_CHECKING:
    from kaizen.serve.settings import ServeSettings
    from kaizen.store import StoreSettings

_DRAIN_S = 10
_MOST_CONNECTIONS = 2_000

_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False} for name in ("uvicorn", "kaizen")
    },
}


def run_server(settings: ServeSettings, where: StoreSettings) -> None:
    """Serve the store until SIGTERM or Ctrl-C; what is under way then has ten seconds to end."""
    import uvicorn

    with open_store(where) as store:
        app = create_app(settings, store, where)
        _answer_while_reading()
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=75,
            limit_concurrency=_MOST_CONNECTIONS,
            access_log=False,
            server_header=False,
            log_config=_LOGGING,
        )


def _answer_while_reading() -> None:
    """Let short requests be answered while a thread reads the whole store."""
    # A thread that computes gives way after this time; by default after 5 ms, at each step of a request.
    sys.setswitchinterval(0.0005)
    # Nothing else runs while garbage is collected, which takes long among all that a snapshot is made of.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
