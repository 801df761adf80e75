"""Stopping from a signal handler."""

from __future__ import annotations

import threading
import time

_NAP_S = 0.1


class StopFlag(threading.Event):
    """An event that a signal handler may set: it takes no lock.

    `threading.Event.set` waits for a lock that the interrupted thread may hold, and then for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_stopped = False

    def is_set(self) -> bool:
        return self._is_stopped

    def set(self) -> None:
        self._is_stopped = True

    def clear(self) -> None:
        self._is_stopped = False

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether the flag is set, after `timeout` seconds or within a nap of its being set."""
        end = None if timeout is None else time.monotonic() + timeout
        # In naps, since waking a thread that waits takes a lock too.
        while not self._is_stopped and (end is None or end > time.monotonic()):
            time.sleep(_NAP_S if end is None else max(0.0, min(_NAP_S, end - time.monotonic())))
        return self._is_stopped
