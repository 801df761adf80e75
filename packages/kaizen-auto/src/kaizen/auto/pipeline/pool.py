"""Sending the spans of a task before its worker of `multiprocessing.Pool` hands in the result.

Leaving `with Pool()` terminates the workers as soon as the results are there: nothing runs after that.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The export takes milliseconds; results wait no longer for a collector that is slow.
TASK_END_S = 0.5


class SendingLock:
    """The lock around the queue of results, which calls `send` with a timeout before it is taken."""

    def __init__(self, lock: Any, send: Callable[[float], object]) -> None:
        self._lock = lock
        self._send = send

    def __enter__(self) -> Any:
        with suppress(Exception):
            self._send(TASK_END_S)
        return self._lock.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._lock.__exit__(*error)


def send_before_results(send: Callable[[float], object]) -> None:
    """Have `send` called at the end of each task, if this process is a worker of a pool."""
    pool: Any = sys.modules.get("multiprocessing.pool")
    processes: Any = sys.modules.get("multiprocessing.process")
    if pool is None or processes is None:
        return
    # Private to multiprocessing: in a version that differs, spans leave at the exit, or not at all.
    with suppress(Exception):
        worker = processes.current_process()
        if worker._target is pool.worker and worker._args[1]._wlock is not None:
            worker._args[1]._wlock = SendingLock(worker._args[1]._wlock, send)
