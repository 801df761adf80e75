"""Give search to stores without one of their own: an SQLite copy of their namespaces that may get lost."""

from __future__ import annotations

import logging
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kaizen.store import files
from kaizen.store.backends.sqlite.connections import remove_database
from kaizen.store.backends.sqlite.store import FILE_NAME, SqliteStore
from kaizen.store.errors import NotFoundError, StoreError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kaizen.store.contract import Store
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Namespace, SearchHit

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_COMMITS_AT_ONCE = 200
# A copy may be damaged, then found lost, and then its directory not to be written to.
_MENDINGS = 3


class Replica:
    """Follows a store by its commits. Where `directory` cannot be written to, it lives in a temporary one.

    Other threads and processes may follow the same store in the same directory.
    """

    def __init__(self, directory: Path, *, embedder: str) -> None:
        self._directory = directory
        self._embedder = embedder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._followed: dict[str, Namespace] = {}
        self._lock = threading.Lock()
        self._copy = self._open()

    def search(
        self, store: Store, namespace_id: str, query: str, selected: Filter, *, limit: int
    ) -> list[SearchHit]:
        return self._on_copy(
            store, namespace_id, lambda copy: copy.search_selected(namespace_id, query, selected, limit=limit)
        )

    def reindex(self, store: Store, namespace_id: str, progress: Callable[[int, int], None]) -> int:
        return self._on_copy(store, namespace_id, lambda copy: copy.reindex(namespace_id, progress=progress))

    def close(self) -> None:
        with self._lock:
            self._copy.close()
            if self._temporary is not None:
                self._temporary.cleanup()

    def _open(self) -> SqliteStore:
        # It can be made again, so it need not survive a power failure.
        return SqliteStore(self._directory / FILE_NAME, embedder=self._embedder, durable=False)

    def _on_copy(self, store: Store, namespace_id: str, work: Callable[[SqliteStore], Result]) -> Result:
        """What `work` gives on a copy of the store's version."""
        with self._lock:
            for _ in range(_MENDINGS):
                try:
                    return self._try(store, namespace_id, work)
                except _CopyError as failed:
                    self._mend(failed.error)
            return self._try(store, namespace_id, work)

    def _try(self, store: Store, namespace_id: str, work: Callable[[SqliteStore], Result]) -> Result:
        self._catch_up(store, namespace_id)
        with _copying():
            return work(self._copy)

    def _mend(self, error: StoreError) -> None:
        """One that was lost is begun again, one that cannot be used is given up for another."""
        self._followed.clear()
        if isinstance(error, NotFoundError):
            return
        if isinstance(error, UnavailableError) and self._temporary is not None:
            raise error
        self._copy.close()
        if isinstance(error, UnavailableError):
            _log.info("The search index is kept in a temporary directory: %s", error)
            self._temporary = tempfile.TemporaryDirectory(prefix="kaizen-search-")
            self._directory = Path(self._temporary.name)
        else:
            _log.info("The search index is made anew: %s", error)
            with suppress(OSError):
                remove_database(self._directory / FILE_NAME)
        self._copy = self._open()

    def _catch_up(self, store: Store, namespace_id: str) -> None:
        namespace = store.get_namespace(namespace_id)
        if self._followed.get(namespace_id) == namespace and self._agrees(
            store, namespace_id, namespace.version
        ):
            return
        with self._alone():
            with _copying():
                copy = self._copy.create_namespace(
                    namespace_id, exist_ok=True, created_at=namespace.created_at
                )
            if copy.created_at != namespace.created_at or not self._agrees(store, namespace_id, copy.version):
                with _copying():
                    self._copy.delete_namespace(namespace_id)
                    copy = self._copy.create_namespace(namespace_id, created_at=namespace.created_at)
            version = copy.version
            while commits := store.commits(namespace_id, after=version, limit=_COMMITS_AT_ONCE):
                with _copying():
                    self._copy.restore(namespace_id, commits)
                version = commits[-1].version
        self._followed[namespace_id] = namespace

    def _agrees(self, store: Store, namespace_id: str, version: int) -> bool:
        """Whether both have the same commit of that version.

        The copy may get lost, and another process begin a new one; a journal may be replaced by another.
        """
        if version == 0:
            return True
        with _copying():
            ours = self._copy.commits(namespace_id, after=version - 1, limit=1)
        theirs = store.commits(namespace_id, after=version - 1, limit=1)
        return [commit.id for commit in ours] == [commit.id for commit in theirs]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process brings the copy forward meanwhile."""
        with ExitStack() as stack:
            with _copying(), files.os_errors(self._directory):
                files.make_directory(self._directory)
                stack.enter_context(files.lock_file(self._directory / "following.lock"))
            yield


class _CopyError(StoreError):
    """What the copy raised, to be told from what the store raises that it follows."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _copying() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise _CopyError(error) from error
