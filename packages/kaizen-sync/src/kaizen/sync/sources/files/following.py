"""Files followed as they grow: what is new in them is read, and a file that was rotated is known again."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from kaizen.sync.errors import SourceError
from kaizen.sync.sources.files.content import READ_ERRORS, FileState, find_files, open_content
from kaizen.sync.sources.files.index import FileIndex, KnownFile
from kaizen.sync.sources.files.records import UNFINISHED, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.records import Record, Report

_DIGESTED = 4096
_RECORDS_PER_COMMIT = 500
_BYTES_PER_COMMIT = 4_000_000
MAX_WHOLE_BYTES = 256_000_000
"""What a file may have that is read as a whole, such as a session of a coding agent."""


class Place(NamedTuple):
    """Where values come from; `first_seen` is the time of what has no time of its own."""

    path: Path
    first_seen: datetime
    changed: datetime


class UnreadableError(ValueError):
    """A value is not of a kind that this reader knows; the message names the kind in the plural."""


class Reader(Protocol):
    """Makes spans of what files hold. Raises `UnreadableError` for a value that it does not know."""

    def wants(self, first: Any) -> bool:
        """Return whether a file whose first value this is may be one of those that are asked for."""
        ...

    def reads_whole(self, first: Any) -> bool:
        """Return whether a file whose first value this is makes sense only as a whole."""
        ...

    def read(self, values: Sequence[Any], place: Place) -> list[Span]:
        """Return the spans of one value, or of all values of a file that is read whole."""
        ...


class Follower:
    """Keeps an index of the files below some places up to date. `opened` counts files that were read."""

    def __init__(self, roots: Sequence[Path], index: FileIndex, reader: Reader) -> None:
        self._roots = roots
        self._index = index
        self._reader = reader
        self._links: Counter[str] = Counter()
        self.opened = 0

    @property
    def unread(self) -> Counter[str]:
        return self._index.unread() + self._links

    def scan(self) -> None:
        """Read what is new; raise `SourceError` if a place is not there."""
        self._links.clear()
        states = {state.path: state for state in self._states()}
        known = {file.path: file for file in self._index.files()}
        changed = [s for s in states.values() if not (s.path in known and known[s.path].is_as(s))]
        # Those that are elsewhere now, or hold something else.
        loose = {f.file_id: f for f in known.values() if f.path not in states or not f.is_as(states[f.path])}
        matches = [(state, self._match(state, loose)) for state in changed]
        for file_id in loose:
            with self._index.writing():
                self._index.forget_file(file_id)
                self._index.step()
        for state, match in matches:
            self._read(state, match)

    def values(self, known: KnownFile) -> list[Any]:
        """Return all values of a file that is read whole."""
        with open_content(known.path) as content:
            return [record.value for record in read_records(content, 0, lambda *_: None)]

    def _states(self) -> Iterator[FileState]:
        for root in self._roots:
            if not root.exists():
                raise SourceError(f"{root} is not there; name a file or a directory that is")
            yield from find_files(root, self._links)

    def _match(self, state: FileState, loose: dict[int, KnownFile]) -> KnownFile | None:
        """Return the file that this one was when it was read last, and take it out of the loose ones."""
        candidates = [file for file in loose.values() if file.offset]
        # Most likely it is the same one, grown; else it was moved; else copied or compressed.
        candidates.sort(key=lambda file: (file.inode != state.inode, file.path != state.path))
        if not candidates:
            return None
        try:
            with open_content(state.path) as content:
                found = next((file for file in candidates if _continues(content, file)), None)
        except READ_ERRORS:
            # What cannot be read just now is not gone.
            found = next((file for file in candidates if file.inode == state.inode), None)
        return loose.pop(found.file_id) if found else None

    def _read(self, state: FileState, known: KnownFile | None) -> None:
        if known is None:
            known = KnownFile(0, state.path, "", -1, 0, False, 0, "", 0, "", time.time())
            if (now := self._index.file_at(state.path)) and now.is_as(state):
                # Another process has read it meanwhile.
                return
            known = known._replace(first_seen=min(time.time(), state.mtime_ns / 1e9))
        with self._index.writing():
            known = self._index.put_file(known._replace(path=state.path, inode=state.inode, size=-1))
        try:
            with open_content(state.path) as content:
                self.opened += 1
                known = self._read_content(content, state, known)
        except READ_ERRORS as error:
            why = f"files that cannot be read: {getattr(error, 'strerror', None) or error}"
            with self._index.writing():
                self._index.forget_unread(known.file_id, why)
                self._index.count_unread(known.file_id, why, str(state.path))
            return
        with self._index.writing():
            self._index.put_file(known._replace(size=state.size, mtime_ns=state.mtime_ns))

    def _read_content(self, content: IO[bytes], state: FileState, known: KnownFile) -> KnownFile:
        with self._index.writing():
            self._index.forget_unread(known.file_id, None if known.is_whole else UNFINISHED)
        if known.is_whole:
            known = known._replace(offset=0)
        batch: list[Record] = []
        for record in read_records(content, known.offset, self._reporter(state.path, known.file_id)):
            if not known.offset and not batch:
                if not self._reader.wants(record.value):
                    # It is not looked into any further, now and when it has grown.
                    known = known._replace(is_whole=True, offset=record.end)
                    break
                known = known._replace(is_whole=record.is_document or self._reader.reads_whole(record.value))
            batch.append(record)
            is_enough = len(batch) == _RECORDS_PER_COMMIT or record.end - batch[0].offset > _BYTES_PER_COMMIT
            if not known.is_whole and is_enough:
                known = self._add(batch, state, known)
                batch = []
            elif known.is_whole and record.end > MAX_WHOLE_BYTES:
                self._reporter(state.path, known.file_id)(
                    f"files of more than {MAX_WHOLE_BYTES // 1_000_000} MB that make sense as a whole only", 0
                )
                batch = []
                break
        known = self._add(batch, state, known)
        content.seek(0)
        head = content.read(min(_DIGESTED, known.offset))
        return known._replace(
            head=_digest(head), head_size=len(head), tail=_digest(_tail(content, known.offset))
        )

    def _add(self, batch: Sequence[Record], state: FileState, known: KnownFile) -> KnownFile:
        """Add the spans of these records, and keep that they were read."""
        place = place_of(known, state.mtime_ns)
        with self._index.writing():
            if known.is_whole:
                self._index.forget_spans(known.file_id)
            if known.is_whole and batch:
                self._put(known, 0, [record.value for record in batch], place)
            elif batch:
                for record in batch:
                    self._put(known, record.offset, [record.value], place)
            known = known._replace(offset=batch[-1].end if batch else known.offset)
            self._index.put_file(known)
            if batch:
                self._index.step()
        return known

    def _put(self, known: KnownFile, offset: int, values: Sequence[Any], place: Place) -> None:
        try:
            spans = self._reader.read(values, place)
        except UnreadableError as error:
            self._index.count_unread(known.file_id, str(error), f"{place.path}, byte {offset}")
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            reason = f"values that are not as expected: {type(error).__name__}"
            self._index.count_unread(known.file_id, reason, f"{place.path}, byte {offset}")
        else:
            self._index.add_spans(known.file_id, offset, spans)

    def _reporter(self, path: Path, file_id: int) -> Report:
        def report(reason: str, offset: int) -> None:
            with self._index.writing():
                self._index.count_unread(file_id, reason, f"{path}, byte {offset}")

        return report


def place_of(known: KnownFile, mtime_ns: int | None = None) -> Place:
    """Return where the values of a file come from."""
    changed = known.mtime_ns if mtime_ns is None else mtime_ns
    return Place(
        known.path,
        datetime.fromtimestamp(known.first_seen, UTC),
        datetime.fromtimestamp(changed / 1e9, UTC),
    )


def _continues(content: IO[bytes], known: KnownFile) -> bool:
    """Return whether a file begins with all that was read of another one, or of itself before it grew."""
    content.seek(0)
    if _digest(content.read(known.head_size)) != known.head:
        return False
    tail = _tail(content, known.offset)
    return len(tail) == min(_DIGESTED, known.offset) and _digest(tail) == known.tail


def _tail(content: IO[bytes], offset: int) -> bytes:
    content.seek(max(0, offset - _DIGESTED))
    return content.read(min(_DIGESTED, offset))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
