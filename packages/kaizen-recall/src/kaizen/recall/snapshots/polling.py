"""Hold the newest snapshot, and refresh it in the background."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from typing import TYPE_CHECKING

from kaizen.recall.settings import read_settings
from kaizen.recall.snapshots import disk, sources
from kaizen.recall.snapshots.document import read_document
from kaizen.recall.snapshots.errors import RecallError

if TYPE_CHECKING:
    from kaizen.recall.model import Snapshot
    from kaizen.recall.snapshots.settings import Settings

_log = logging.getLogger("kaizen.recall")


class Poller:
    """Read one source again and again, in a daemon thread that starts when a snapshot is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.error = ""
        """Why the last attempt failed."""
        self.read_at = 0.0
        """When the source last confirmed the snapshot, in seconds since the epoch."""
        self.is_from_disk = False
        self._snapshot: Snapshot | None = None
        self._etag = ""
        self.after_fork()

    def after_fork(self) -> None:
        """Go on in a child, which has the snapshot, but neither the thread nor locks that others hold."""
        self._lock = threading.Lock()
        self._tried = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._deadline = 0.0
        if self._snapshot is not None:
            self._tried.set()

    def snapshot(self, *, wait: bool) -> Snapshot | None:
        """Return the newest snapshot; at first wait for one, until the time-out after the first call."""
        self.start()
        if wait and self.is_awaited():
            self._tried.wait(self._deadline - time.monotonic())
        return self._snapshot

    def is_awaited(self) -> bool:
        """Return whether it is worth waiting for the first snapshot."""
        self.start()
        self._deadline = self._deadline or time.monotonic() + self.settings.timeout_s
        return not self._tried.is_set() and time.monotonic() < self._deadline

    def stop(self) -> None:
        self._stopped.set()

    def read_now(self) -> Snapshot | None:
        """Read the source in this thread, or else what was saved of it; `error` says why it failed."""
        self._try_to_refresh()
        if self._snapshot is None:
            self._load_from_disk()
        return self._snapshot

    def refresh(self) -> None:
        """Read the source now, if it has anything new. Raises `RecallError`."""
        settings = self.settings
        fetched = sources.fetch(settings.source, settings.namespace_id, token=settings.token, etag=self._etag)
        if fetched is not None:
            self._take(fetched.data, fetched.etag)
            disk.save(settings, fetched)
        self.read_at, self.error, self.is_from_disk = time.time(), "", False

    def _take(self, data: bytes, etag: str) -> None:
        # Others run after each tip: building it takes a second for 10,000.
        snapshot = read_document(data, self.settings.namespace_id, pause=_let_others_run)
        self._snapshot, self._etag = snapshot, etag

    def start(self) -> None:
        """Begin to read in the background, unless that was begun."""
        if self._thread is not None or self._stopped.is_set():
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kaizen-recall", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        if self._snapshot is None:
            self._load_from_disk()
        while not self._stopped.is_set():
            if not self._try_to_refresh():
                _log.warning("Tips cannot be refreshed: %s", self.error)
            self._tried.set()
            # Not all agents of a fleet at the same moment.
            self._stopped.wait(self.settings.refresh_s * random.uniform(0.8, 1.2))  # noqa: S311

    def _load_from_disk(self) -> None:
        try:
            if (saved := disk.load(self.settings)) is not None:
                self._take(saved.data, saved.etag)
                self.read_at, self.is_from_disk = saved.saved_at, True
                self._tried.set()
        except (RecallError, OSError) as error:
            _log.debug("The saved snapshot is not used: %s", error)

    def _try_to_refresh(self) -> bool:
        """Return whether there is nothing new to say: it worked, or failed as it did before."""
        before = self.error
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001 - the next attempt may do better
            kind = "" if isinstance(error, RecallError) else f"{type(error).__name__}: "
            self.error = f"{kind}{error}"
            return self.error == before
        return True


def _let_others_run() -> None:
    time.sleep(0)


_pollers: dict[Settings, Poller] = {}


def current_poller() -> Poller:
    """Return the poller of what the environment names now."""
    settings = read_settings()
    poller = _pollers.get(settings)
    if poller is None:
        for other in list(_pollers.values()):
            other.stop()
        _pollers.clear()
        poller = _pollers.setdefault(settings, Poller(settings))
    return poller


def _after_fork() -> None:
    for poller in _pollers.values():
        poller.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
