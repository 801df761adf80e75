"""Bytes of files: which there are below a place, what they hold uncompressed, and their lines."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections import Counter

MAX_LINE_BYTES = 16_000_000
"""What one line, or one document, may have: its values take many times that in memory."""

MAX_UNCOMPRESSED_BYTES = 64_000_000_000
READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a file may raise that is gone, forbidden or broken."""

_CHUNK = 1_000_000
_COMPRESSED = (".gz", ".zst")


class FileState(NamedTuple):
    """A file as a directory shows it: equal as long as nobody wrote to it."""

    path: Path
    inode: str
    size: int
    mtime_ns: int


class Line(NamedTuple):
    """A line and where it begins. `data` is None if it is longer than may be read.

    `is_ended` says that a line break follows: else it may still grow.
    """

    offset: int
    size: int
    data: bytes | None
    is_ended: bool


def find_files(root: Path, unread: Counter[str]) -> Iterator[FileState]:
    """Yield the files below a directory whose names have `.json` in them, or the one that `root` is.

    Links are not followed: what they lead to within the directory is found anyway.
    """
    if not root.is_dir():
        found = _state(root)
        if found is not None:
            yield found
        return
    for directory, names, files in os.walk(root, onerror=lambda error: _count(unread, error)):
        names.sort()
        for name in sorted(files):
            path = Path(directory, name)
            if not is_of_interest(name):
                continue
            if path.is_symlink():
                if not path.resolve().is_relative_to(root.resolve()):
                    unread[f"links out of the directory ({path})"] += 1
            elif found := _state(path):
                yield found
        names[:] = [name for name in names if not _leads_out(Path(directory, name), root, unread)]


def is_of_interest(name: str) -> bool:
    """Return whether a file of that name may hold JSON: `a.jsonl`, `a.json.1`, `a-2026.json.gz`."""
    return any(part in name.lower() for part in (".json", ".ndjson"))


def is_compressed(path: Path) -> bool:
    return path.suffix.lower() in _COMPRESSED


def open_content(path: Path) -> IO[bytes]:
    """Open a file to read what it holds, uncompressed; raise OSError if it cannot be read.

    A `.zst` file needs Python 3.14, or the extra `kaizen-sync[zstd]`.
    """
    # Nor does a pipe that takes the name meanwhile hold anybody up.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    raw = os.fdopen(handle, "rb")
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return _owning(cast("IO[bytes]", gzip.GzipFile(fileobj=raw)), raw)
    return _zstd(raw) if suffix == ".zst" else raw


def read_lines(content: IO[bytes], offset: int) -> Iterator[Line]:
    """Yield the lines from that offset on; one that is too long is passed over, a part at a time."""
    content.seek(offset)
    while data := content.readline(MAX_LINE_BYTES + 1):
        size, is_ended = len(data), data.endswith(b"\n")
        is_whole = size <= MAX_LINE_BYTES or is_ended
        while not is_ended and (more := content.readline(_CHUNK)):
            is_whole = False
            size, is_ended = size + len(more), more.endswith(b"\n")
        yield Line(offset, size, data if is_whole else None, is_ended)
        offset += size
        if offset > MAX_UNCOMPRESSED_BYTES:
            raise OSError(f"holds more than {MAX_UNCOMPRESSED_BYTES // 1_000_000_000} GB")


def _state(path: Path) -> FileState | None:
    try:
        found = path.lstat() if path.is_symlink() else path.stat()
    except OSError:
        # It went while the directory was read.
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileState(path, f"{found.st_dev}:{found.st_ino}", found.st_size, found.st_mtime_ns)


def _leads_out(path: Path, root: Path, unread: Counter[str]) -> bool:
    if not path.is_symlink():
        return False
    if not path.resolve().is_relative_to(root.resolve()):
        unread[f"links out of the directory ({path})"] += 1
    return True


def _count(unread: Counter[str], error: OSError) -> None:
    unread[f"directories that cannot be read ({error.filename}: {error.strerror})"] += 1


def _owning(content: IO[bytes], raw: IO[bytes]) -> IO[bytes]:
    """Let the file be closed with what uncompresses it."""
    close = content.close

    def close_both() -> None:
        close()
        raw.close()

    content.close = close_both  # type: ignore[method-assign]
    return content


def _zstd(raw: IO[bytes]) -> IO[bytes]:
    """Return what a file compressed with zstd holds, in a temporary file: its readers cannot go back."""
    copy = TemporaryFile()  # noqa: SIM115 - it is returned
    try:
        reader = _zstd_reader(raw)
        while chunk := reader.read(_CHUNK):
            copy.write(chunk)
            if copy.tell() > MAX_UNCOMPRESSED_BYTES:
                raise OSError(f"holds more than {MAX_UNCOMPRESSED_BYTES // 1_000_000_000} GB")
    except Exception as error:
        copy.close()
        raise OSError(str(error)) from error
    finally:
        raw.close()
    copy.seek(0)
    return copy


def _zstd_reader(raw: IO[bytes]) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise OSError("it is compressed with zstd; install kaizen-sync[zstd] to read it") from None
        return cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
    return cast("IO[bytes]", zstd.ZstdFile(raw))
