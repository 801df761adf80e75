"""Write files durably, and say what an `OSError` means to whoever runs into it."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen.store.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = 0o600
"""The mode of every file in a data directory: what agents did concerns nobody but their user."""

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
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _BINARY)
    try:
        length = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
            raise
    finally:
        os.close(descriptor)


def create_file(path: Path, data: bytes, *, by_way_of: Path) -> None:
    """Make a file that is there with all its data or not at all; `by_way_of` is a path on the same disk."""
    descriptor = os.open(by_way_of, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, PRIVATE)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(by_way_of, path)
    sync_directory(path.parent)


def create_empty_file(path: Path) -> None:
    """Make an empty file for others to fill; raise `FileExistsError` if there is one, or a link."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, PRIVATE))


def move_tail(source: Path, offset: int, *, to: Path) -> None:
    """Move what `source` holds from `offset` on to the end of another file; in no moment is it in neither."""
    with source.open("rb") as file:
        file.seek(offset)
        tail = file.read()
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, PRIVATE)
    try:
        _write_all(descriptor, tail + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(to.parent)
    truncate(source, offset)


def truncate(path: Path, length: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | _BINARY)
    try:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
