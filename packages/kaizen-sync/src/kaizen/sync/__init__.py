"""Traces in, tips out: read agent traces back and turn them into lessons with evidence.

The names below are the public surface; every other module of `kaizen.sync` is private. They are imported when
they are used, so that `import kaizen.sync` loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen.sync.__about__ import __version__

if TYPE_CHECKING:
    from kaizen.sync.errors import (
        ModelAccessError,
        ModelError,
        ModelRefusalError,
        ModelUnavailableError,
        ProjectNotFoundError,
        PromptTooLongError,
        RedactionError,
        SettingsError,
        SourceError,
        SyncError,
        UnknownShapeError,
        UnusableAnswerError,
    )
    from kaizen.sync.run.pipeline import Sync
    from kaizen.sync.settings import ModelSettings, PhoenixSettings, SyncSettings
    from kaizen.sync.sources.phoenix.source import PhoenixSource
    from kaizen.sync.state.report import Report

__all__ = [
    "ModelAccessError",
    "ModelError",
    "ModelRefusalError",
    "ModelSettings",
    "ModelUnavailableError",
    "PhoenixSettings",
    "PhoenixSource",
    "ProjectNotFoundError",
    "PromptTooLongError",
    "RedactionError",
    "Report",
    "SettingsError",
    "SourceError",
    "Sync",
    "SyncError",
    "SyncSettings",
    "UnknownShapeError",
    "UnusableAnswerError",
    "__version__",
]

_MODULES = {
    "ModelSettings": "settings",
    "PhoenixSettings": "settings",
    "PhoenixSource": "sources.phoenix.source",
    "Report": "state.report",
    "Sync": "run.pipeline",
    "SyncSettings": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kaizen.sync.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
