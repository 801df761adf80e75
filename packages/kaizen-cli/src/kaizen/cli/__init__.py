"""The `kaizen` command."""

from __future__ import annotations

from kaizen.cli.__about__ import __version__

__all__ = ["__version__"]
