"""What can be wrong with a snapshot and with where it comes from."""

from __future__ import annotations


class RecallError(Exception):
    """Tips cannot be had; the agent runs on without new ones. The message says why, and what to do."""


class SnapshotError(RecallError):
    """What a source gave is not a snapshot that this version accepts."""


class SourceError(RecallError):
    """The source cannot be read now, or not at all."""
