"""Keep one namespace on disk: an append-only file of which each line is a commit."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from kaizen.store import files
from kaizen.store.backends.filesystem.names import file_name
from kaizen.store.backends.filesystem.state import NamespaceState, copy_entity
from kaizen.store.commits import check_restored, next_commit
from kaizen.store.errors import ConflictError, CorruptDataError, NotFoundError
from kaizen.store.history import lines as records
from kaizen.store.model import Applied, Commit, Entity, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from kaizen.store.commits import CommitRequest
    from kaizen.store.history.lines import CommitRecord

JOURNALS = "namespaces"
LOCKS = "locks"
SUFFIX = ".jsonl"

_HEAD_LENGTH = 256


@dataclass(slots=True)
class _Loaded:
    """What was read of the file so far, and how to know that it is still the same file."""

    state: NamespaceState
    file_id: tuple[int, int]
    last_start: int
    last_head: bytes
    end: int
    """Where the next line starts, also if the last one still lacks its newline."""
    unterminated: bool
    torn: bool = False

    @property
    def length(self) -> int:
        """Return how many bytes of the file are good."""
        return self.end - self.unterminated

    def is_of(self, file: BinaryIO) -> bool:
        """Return whether the file still starts with what was read.

        Inode numbers are used again at once, and a commit that failed is cut off after it may have been
        seen: so the last line counts too. It starts with a commit's id, or for a header with a time.
        """
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) != self.file_id or status.st_size < self.length:
            return False
        file.seek(self.last_start)
        return file.read(len(self.last_head)) == self.last_head


class Journal:
    """The journal of one namespace, shared by the threads of this process."""

    def __init__(self, data_dir: Path, namespace_id: str) -> None:
        name = file_name(namespace_id)
        self.namespace_id = namespace_id
        self.path = data_dir / JOURNALS / f"{name}{SUFFIX}"
        self._torn_path = self.path.with_name(f"{name}.torn")
        self._new_path = self.path.with_name(f"{name}.new")
        self._lock_path = data_dir / LOCKS / f"{name}.lock"
        self._writer = threading.Lock()
        self._memory = threading.RLock()
        self._loaded: _Loaded | None = None

    @contextmanager
    def reading(self) -> Iterator[NamespaceState]:
        """Give the state as of now, without waiting for any other process."""
        with self._memory, self._open() as file:
            yield self._refresh(file).state

    def read_commits(self, run_id: str | None, *, after: int, limit: int) -> list[Commit]:
        with self._reading_lines() as (state, lines):
            return [lines.commit(version) for version in state.versions(run_id, after=after, limit=limit)]

    def read_history(self, entity_id: str) -> list[Commit]:
        with self._reading_lines() as (state, lines):
            versions = state.versions_by_entity.get(entity_id, [])
            return [lines.commit(version, only=entity_id) for version in versions]

    def create(self, *, exist_ok: bool, created_at: datetime) -> Namespace:
        files.make_directory(self.path.parent)
        with self._writing():
            if not self._exists():
                header = records.encode_header(self.namespace_id, created_at)
                files.create_file(self.path, header, by_way_of=self._new_path)
            elif not exist_ok:
                raise ConflictError(
                    f"namespace {self.namespace_id!r} exists already", namespace_id=self.namespace_id
                )
            return self.describe()

    def describe(self) -> Namespace:
        with self.reading() as state:
            return Namespace(id=self.namespace_id, created_at=state.created_at, version=state.version)

    def delete(self) -> None:
        self._require()
        with self._writing():
            # Somebody else may have deleted it while we waited for the lock.
            self._require()
            self.path.unlink()
            self._torn_path.unlink(missing_ok=True)
            files.sync_directory(self.path.parent)
            self._loaded = None

    def commit(self, request: CommitRequest) -> Commit:
        """See `Store.commit`."""
        with self._changing() as loaded:
            state = loaded.state
            commit = next_commit(self.namespace_id, request, head=state.head(), current=state.entities)
            self._append(loaded, records.encode_commit(commit))
            # What was there before is still ours: it is in the state of who reads the journal.
            changes = (replace(each, before=_copy_or_none(each.before)) for each in commit.changes)
            return replace(commit, changes=tuple(changes))

    def restore(self, commits: Sequence[Commit]) -> None:
        """See `Store.restore`; all lines go in with one write."""
        with self._changing() as loaded:
            state = loaded.state
            check_restored(self.namespace_id, commits, version=state.version, current=state.entities)
            self._append(loaded, *map(records.encode_commit, commits))

    def check(self) -> None:
        """Read it all, and open it for writing."""
        with self.reading():
            os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND))

    def corrupt(self, line: int, reason: object) -> CorruptDataError:
        return CorruptDataError(
            f"{self.path}, line {line}: {reason}; nothing was changed: restore the file from a backup or "
            "from version control, or move it away",
            path=str(self.path),
            line=line,
        )

    @contextmanager
    def _reading_lines(self) -> Iterator[tuple[NamespaceState, _Lines]]:
        with self._memory, self._open() as file:
            state = self._refresh(file).state
            yield state, _Lines(self, file, state)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        files.make_directory(self._lock_path.parent)
        with self._writer, files.lock_file(self._lock_path), self._memory:
            yield

    @contextmanager
    def _changing(self) -> Iterator[_Loaded]:
        # Asked before the lock's file is made: a namespace that is not there leaves nothing behind.
        self._require()
        with self._writing():
            with self._open() as file:
                loaded = self._refresh(file)
            yield loaded

    def _append(self, loaded: _Loaded, *lines: bytes) -> None:
        # Half a line of a crash, which would swallow the whole line that follows it.
        if loaded.torn:
            files.move_tail(self.path, loaded.length, to=self._torn_path)
            loaded.torn = False
        data = b"".join(lines)
        files.append_to_file(self.path, b"\n" + data if loaded.unterminated else data)
        for line in lines:
            self._take(loaded, line)

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except FileNotFoundError:
            raise self._missing() from None

    def _exists(self) -> bool:
        return files.status(self.path) is not None

    def _require(self) -> None:
        if not self._exists():
            raise self._missing()

    def _missing(self) -> NotFoundError:
        return NotFoundError(
            f"namespace {self.namespace_id!r} does not exist in {self.path.parent}",
            namespace_id=self.namespace_id,
        )

    def _refresh(self, file: BinaryIO) -> _Loaded:
        loaded = self._loaded
        if loaded is not None and loaded.is_of(file):
            self._read_on(file, loaded)
            return loaded
        loaded = self._loaded = self._read_header(file)
        # Loading makes many objects and no garbage: looking for some would be a third of its time.
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            self._read_on(file, loaded)
        finally:
            if was_enabled:
                gc.enable()
        return loaded

    def _read_on(self, file: BinaryIO, loaded: _Loaded) -> None:
        file.seek(loaded.end)
        loaded.torn = False
        for line in file:
            self._take(loaded, line)
            if loaded.torn:
                break  # it may be a line that is being written now, and the rest of it could follow

    def _read_header(self, file: BinaryIO) -> _Loaded:
        file.seek(0)
        line = file.readline()
        try:
            created_at = records.decode_header(records.parse_line(line), self.namespace_id)
        except ValueError as exc:
            raise self.corrupt(1, exc) from exc
        status = os.fstat(file.fileno())
        unterminated = not line.endswith(b"\n")
        return _Loaded(
            state=NamespaceState(created_at),
            file_id=(status.st_dev, status.st_ino),
            last_start=0,
            last_head=line[:_HEAD_LENGTH],
            end=len(line) + unterminated,
            unterminated=unterminated,
        )

    def _take(self, loaded: _Loaded, line: bytes) -> None:
        """Take over the line that starts at `loaded.end`, unless it is what a crash left of one."""
        unterminated = not line.endswith(b"\n")
        try:
            try:
                value = records.parse_line(line)
            except ValueError:
                if not unterminated:
                    raise
                # A crash, or a writer that is not done, can cut only the last line: it is no damage.
                loaded.torn = True
                return
            loaded.state.apply(records.decode_commit(value, self.namespace_id), loaded.end)
        except ValueError as exc:
            raise self.corrupt(loaded.state.version + 2, exc) from exc
        loaded.last_start, loaded.last_head = loaded.end, line[:_HEAD_LENGTH]
        loaded.end += len(line) + unterminated
        loaded.unterminated = unterminated


class _Lines:
    """Commits read back from their lines; a line is parsed once however often it is looked at."""

    def __init__(self, journal: Journal, file: BinaryIO, state: NamespaceState) -> None:
        self._journal = journal
        self._file = file
        self._state = state
        self._records: dict[int, CommitRecord] = {}

    def commit(self, version: int, *, only: str | None = None) -> Commit:
        record = self._record(version)
        changes = (
            # Copies, since a line that is looked at twice gives the same entity twice.
            Applied(before=self._before(entity_id, version), after=_copy_or_none(record.after[entity_id]))
            for entity_id in (record.after if only is None else [only])
        )
        return record.commit(self._journal.namespace_id, changes)

    def _before(self, entity_id: str, version: int) -> Entity | None:
        earlier = self._state.version_before(entity_id, version)
        return None if earlier is None else _copy_or_none(self._record(earlier).after[entity_id])

    def _record(self, version: int) -> CommitRecord:
        if version not in self._records:
            self._file.seek(self._state.offsets[version - 1])
            try:
                value = records.parse_line(self._file.readline())
                self._records[version] = records.decode_commit(value, self._journal.namespace_id)
            except ValueError as exc:
                raise self._journal.corrupt(version + 1, exc) from exc
        return self._records[version]


def _copy_or_none(entity: Entity | None) -> Entity | None:
    return None if entity is None else copy_entity(entity)
