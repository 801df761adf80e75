"""Lock between processes and between threads, in a way that no crash leaves behind.

Not the package filelock: it polls every 50 ms, which is what 50 commits take.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen.store.errors import UnavailableError
from kaizen.store.files import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TIMEOUT_S = 60.0


@contextmanager
def lock_file(path: Path, *, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Hold the lock that the file at `path` stands for; raise `UnavailableError` if it is not free in time.

    The file is created and then stays: were it removed, one process could hold the lock of the removed
    file while another holds that of its successor.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        _acquire(descriptor, path, timeout_s)
        try:
            yield
        finally:
            # Closing would not do: a process forked meanwhile still has the descriptor, and with it the lock.
            _release(descriptor)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not _try_acquire(descriptor):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{path}: another process has held this lock for {timeout_s:.0f} seconds; "
                "end it if it hangs, then try again"
            )
        # Of random length, so that writers do not wait in step; the module random takes 10 ms to import.
        time.sleep(0.0002 + os.urandom(1)[0] / 255 * 0.0018)


if sys.platform == "win32":

    def _try_acquire(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_acquire(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
