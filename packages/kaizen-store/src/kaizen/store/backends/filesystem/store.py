"""The filesystem backend: a directory with one journal for each namespace."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen.store import files
from kaizen.store.backends.filesystem.journal import JOURNALS, SUFFIX, Journal
from kaizen.store.backends.filesystem.names import namespace_id_of
from kaizen.store.backends.filesystem.state import copy_entity
from kaizen.store.base import BaseStore
from kaizen.store.errors import CorruptDataError, NotFoundError, StoreError
from kaizen.store.ids import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from kaizen.store.backends.sqlite.replica import Replica
    from kaizen.store.commits import CommitRequest
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Commit, Entity, Namespace, Page, SearchHit
    from kaizen.store.settings import StoreSettings


class FilesystemBackend:
    """Open filesystem stores; the entry point `filesystem` names this class."""

    @staticmethod
    def open(settings: StoreSettings) -> FilesystemStore:
        """Open the store in `settings.data_dir`; the directory is made at the first write."""
        return FilesystemStore(settings.data_dir, embedder=settings.embedder)


class FilesystemStore(BaseStore):
    """Implement `kaizen.store.Store`; see there for what each method promises."""

    def __init__(self, data_dir: Path, *, embedder: str) -> None:
        self._data_dir = data_dir
        self._embedder = embedder
        self._journals: dict[str, Journal] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._replica: Replica | None = None

    @property
    def location(self) -> str:
        return str(self._data_dir)

    def _create_namespace(self, namespace_id: str, *, exist_ok: bool, created_at: datetime) -> Namespace:
        with self._journal(namespace_id) as journal:
            if exist_ok:
                try:
                    return journal.describe()
                except NotFoundError:
                    pass
            return journal.create(exist_ok=exist_ok, created_at=created_at)

    def _get_namespace(self, namespace_id: str) -> Namespace:
        with self._journal(namespace_id) as journal:
            return journal.describe()

    def _list_namespaces(self) -> list[Namespace]:
        found: list[Namespace] = []
        for namespace_id in self._namespace_ids():
            try:
                found.append(self.get_namespace(namespace_id))
            except NotFoundError:  # deleted since the directory was read
                continue
        return found

    def _delete_namespace(self, namespace_id: str) -> None:
        with self._journal(namespace_id) as journal:
            journal.delete()

    def _commit(self, namespace_id: str, request: CommitRequest) -> Commit:
        with self._journal(namespace_id) as journal:
            return journal.commit(request)

    def _restore(self, namespace_id: str, commits: Sequence[Commit]) -> None:
        with self._journal(namespace_id) as journal:
            journal.restore(commits)

    def _get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return {
                entity_id: copy_entity(state.entities[entity_id])
                for entity_id in entity_ids
                if entity_id in state.entities
            }

    def _history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        with self._journal(namespace_id) as journal:
            return journal.read_history(entity_id)

    def _commits(self, namespace_id: str, *, run_id: str | None, after: int, limit: int) -> list[Commit]:
        with self._journal(namespace_id) as journal:
            return journal.read_commits(run_id, after=after, limit=limit)

    def _page(self, namespace_id: str, selected: Filter, *, after: str | None, limit: int) -> Page:
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return state.page(selected, after=after, limit=limit)

    def _count(self, namespace_id: str, selected: Filter) -> int:
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return state.count(selected)

    def _count_by_type(self, namespace_id: str) -> dict[str, int]:
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return Counter(entity.type for entity in state.entities.values())

    def _search(self, namespace_id: str, query: str, selected: Filter, *, limit: int) -> list[SearchHit]:
        return self._searching().search(self, namespace_id, query, selected, limit=limit)

    def reindex(self, namespace_id: str, *, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """See `kaizen.store.Reindexable`."""
        return self._searching().reindex(self, namespace_id, progress)

    def check(self) -> None:
        directory = self._data_dir / JOURNALS
        probe = directory / f".check-{uuid7()}"
        with files.os_errors(directory):
            files.make_directory(directory)
            try:
                with files.lock_file(probe):
                    files.append_to_file(probe, b"probe\n")
            finally:
                probe.unlink(missing_ok=True)
        for namespace_id in self._namespace_ids():
            with self._journal(namespace_id) as journal:
                journal.check()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._journals.clear()
            replica = self._replica
        # Not under the lock, which a search that is waited for may need.
        if replica is not None:
            replica.close()

    def _searching(self) -> Replica:
        from kaizen.store.backends.sqlite.replica import Replica

        with self._lock:
            if self._replica is None:
                self._replica = Replica(self._data_dir / "search", embedder=self._embedder)
            return self._replica

    @contextmanager
    def _journal(self, namespace_id: str) -> Iterator[Journal]:
        with self._lock:
            if self._closed:
                raise StoreError(f"the store in {self.location} is closed: open it again")
            if namespace_id not in self._journals:
                self._journals[namespace_id] = Journal(self._data_dir, namespace_id)
            journal = self._journals[namespace_id]
        with files.os_errors(journal.path):
            yield journal

    def _namespace_ids(self) -> Sequence[str]:
        directory = self._data_dir / JOURNALS
        with files.os_errors(directory):
            try:
                names = os.listdir(directory)
            except FileNotFoundError:
                return []
        return sorted(
            _namespace_id(directory / name)
            for name in names
            if name.endswith(SUFFIX) and not name.startswith(".")
        )


def _namespace_id(path: Path) -> str:
    namespace_id = namespace_id_of(path.name.removesuffix(SUFFIX))
    if namespace_id is None:
        raise CorruptDataError(
            f"{path}: no namespace has a journal of this name; rename it or move it away",
            path=str(path),
            line=1,
        )
    return namespace_id
