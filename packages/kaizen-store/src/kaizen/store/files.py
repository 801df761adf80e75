"""Write files durably, lock them, and say what an `OSError` means to whoever runs into it."""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen.store.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# The mode of every file in a data directory: what agents did concerns nobody but their user.
_PRIVATE = 0o600
_LOCK_TIMEOUT_S = 60.0

_BINARY: int = getattr(os, "O_BINARY", 0)
_ELSEWHERE = "or set KAIZEN_DATA_DIR to another directory"
_ADVICE = {
    errno.ENOSPC: "free some space, then try again",
    errno.EDQUOT: "free some space, then try again",
    errno.EFBIG: "raise the limit on file sizes, then try again",
    errno.EACCES: f"give this user access, {_ELSEWHERE}",
    errno.EPERM: f"give this user access, {_ELSEWHERE}",
    errno.EROFS: f"make it writable, {_ELSEWHERE}",
    errno.ENOTDIR: f"a file is where a directory must be: move it, {_ELSEWHERE}",
    errno.EEXIST: f"a file is where a directory must be: move it, {_ELSEWHERE}",
    errno.EISDIR: "a directory is where a file must be: move it, then try again",
    errno.ENAMETOOLONG: "set KAIZEN_DATA_DIR to a shorter path",
}


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Turn each `OSError` into an `UnavailableError` that names the file and says what to do."""
    try:
        yield
    except OSError as exc:
        advice = _ADVICE.get(exc.errno or 0, "mend that, then try again")
        raise UnavailableError(f"{exc.filename or path}: {exc.strerror or exc}; {advice}") from exc


def status(path: Path) -> os.stat_result | None:
    """Return what the file system says of a file, None if there is none.

    Raises `UnavailableError` for a link that leads nowhere: writing would make a file in another place.
    """
    try:
        return os.stat(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise UnavailableError(
                f"{path}: it is a link to {os.readlink(path)}, where nothing is; make that available again, "
                "or delete the link"
            ) from None
        return None


def append_to_file(path: Path, data: bytes) -> None:
    """Add the data at the end of the file, durably; if that fails, leave the file as long as it was."""
    with _opened(path, os.O_APPEND) as descriptor:
        length = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
            raise


def create_file(path: Path, data: bytes, *, by_way_of: Path) -> None:
    """Make a file that is there with all its data or not at all; `by_way_of` is a path on the same disk."""
    with _opened(by_way_of, os.O_CREAT | os.O_TRUNC) as descriptor:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    os.replace(by_way_of, path)
    sync_directory(path.parent)


def create_empty_file(path: Path) -> None:
    """Make an empty file for others to fill; raise `FileExistsError` if there is one, or a link."""
    with _opened(path, os.O_CREAT | os.O_EXCL):
        pass


def move_tail(source: Path, offset: int, *, to: Path) -> None:
    """Move what `source` holds from `offset` on to the end of another file; in no moment is it in neither."""
    with source.open("rb") as file:
        file.seek(offset)
        tail = file.read()
    with _opened(to, os.O_CREAT | os.O_APPEND) as descriptor:
        _write_all(descriptor, tail + b"\n")
        os.fsync(descriptor)
    sync_directory(to.parent)
    with _opened(source) as descriptor:
        os.ftruncate(descriptor, offset)
        os.fsync(descriptor)


def make_directory(path: Path) -> None:
    """Make the directory and its missing parents, open to nobody else (XDG Base Directory, "Referencing")."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make durable which files the directory holds."""
    if sys.platform == "win32":
        return  # Windows opens no directories; its file systems journal names themselves
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock_file(path: Path, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock that the file at `path` stands for; raise `UnavailableError` if it is not free in time.

    It excludes processes and threads, and no crash leaves it behind. The file is created and then stays: were
    it removed, one process could hold the lock of the removed file while another holds that of its successor.
    """
    # Not the package filelock: it polls every 50 ms, which is what 50 commits take.
    with _opened(path, os.O_CREAT) as descriptor:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{path}: another process has held this lock for {timeout_s:.0f} seconds; "
                    "end it if it hangs, then try again"
                )
            # Of random length, so that writers do not wait in step; the module random takes 10 ms to import.
            time.sleep(0.0002 + os.urandom(1)[0] / 255 * 0.0018)
        try:
            yield
        finally:
            # Closing would not do: a process forked meanwhile still has the descriptor, and with it the lock.
            _unlock(descriptor)


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    """Give a descriptor for writing; Python's own files buffer, and would write again what failed once."""
    descriptor = os.open(path, os.O_WRONLY | flags | _BINARY, _PRIVATE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        # A write may take only part of it, as one does that reaches a limit on the file's size.
        view = view[os.write(descriptor, view) :]
