"""What the demo raises."""

from __future__ import annotations

from kaizen.sync import SyncError


class DemoError(SyncError):
    """The demo cannot run, or one of its parts failed."""
