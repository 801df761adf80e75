"""Syncing again and again, whatever goes wrong in one round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store import StoreError
from kaizen.sync.errors import SettingsError, SyncError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


def check_watch(every_s: float, *, dry_run: bool = False) -> None:
    """Raise `SettingsError` unless rounds can be started every so many seconds."""
    if every_s <= 0:
        raise SettingsError(f"--watch is {every_s:g}; it is the time between two rounds, such as 5m")
    if dry_run:
        raise SettingsError("--watch syncs again and again, and --dry-run syncs nothing; give one of them")


def watch(
    sync_once: Callable[[], None],
    every_s: float,
    *,
    stopping: threading.Event,
    report_error: Callable[[Exception], None],
) -> None:
    """Call `sync_once` every so many seconds until `stopping` is set.

    A `SyncError` or a `StoreError`, such as a database that restarts, is reported and the next round tries
    again.
    """
    check_watch(every_s)
    while not stopping.is_set():
        try:
            sync_once()
        except (SyncError, StoreError) as error:
            report_error(error)
        stopping.wait(every_s)
