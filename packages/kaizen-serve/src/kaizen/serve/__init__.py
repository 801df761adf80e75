"""Serve what Kaizen learned: a page, an HTTP API and an MCP server, beside the store.

Public is what this module exports; names load when first used. All else may change in any release.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen.serve.__about__ import __version__

if TYPE_CHECKING:
    from kaizen.serve.app import create_app
    from kaizen.serve.settings import ServeSettings

__all__ = ["ServeSettings", "__version__", "create_app"]

_MODULE_OF = {"ServeSettings": "settings", "create_app": "app"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
