"""Traces in, tips out: read agent traces back and turn them into lessons with evidence."""

from __future__ import annotations

from kaizen.sync.__about__ import __version__
from kaizen.sync.errors import (
    ModelAccessError,
    ModelError,
    ProjectNotFoundError,
    SettingsError,
    SourceError,
    SyncError,
    UnknownShapeError,
)
from kaizen.sync.settings import ModelSettings, PhoenixSettings, SyncSettings

__all__ = [
    "ModelAccessError",
    "ModelError",
    "ModelSettings",
    "PhoenixSettings",
    "ProjectNotFoundError",
    "SettingsError",
    "SourceError",
    "SyncError",
    "SyncSettings",
    "UnknownShapeError",
    "__version__",
]
