"""Search for stores without one of their own: an SQLite copy of their namespaces that may get lost."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.store.errors import NotFoundError, StoreError, UnavailableError
from kaizen.store.sqlite import FILE_NAME, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen.store.contract import Store
    from kaizen.store.filtering import Filter
    from kaizen.store.model import Namespace, SearchHit

_log = logging.getLogger(__name__)

_COMMITS_AT_ONCE = 200


class Replica:
    """Follows a store by its commits. Where `directory` cannot be written to, it lives in a temporary one."""

    def __init__(self, directory: Path, *, embedder: str) -> None:
        self._directory = directory
        self._embedder = embedder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._followed: dict[str, Namespace] = {}
        self._copy = self._open(directory)

    def search(
        self, store: Store, namespace_id: str, query: str, selected: Filter, *, limit: int
    ) -> list[SearchHit]:
        self._follow(store, namespace_id)
        return self._copy.search_selected(namespace_id, query, selected, limit=limit)

    def reindex(self, store: Store, namespace_id: str, progress: Callable[[int, int], None]) -> int:
        self._follow(store, namespace_id)
        return self._copy.reindex(namespace_id, progress=progress)

    def close(self) -> None:
        self._copy.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _open(self, directory: Path) -> SqliteStore:
        # It can be made again, so it need not survive a power failure.
        return SqliteStore(directory / FILE_NAME, embedder=self._embedder, durable=False)

    def _follow(self, store: Store, namespace_id: str) -> None:
        """Bring the copy to the store's version; a copy that cannot be used is given up for a new one."""
        try:
            self._catch_up(store, namespace_id)
        except UnavailableError as error:
            if self._temporary is not None:
                raise
            _log.info("The search index is kept in a temporary directory: %s", error)
            self._temporary = tempfile.TemporaryDirectory(prefix="kaizen-search-")
            self._replace(Path(self._temporary.name))
            self._catch_up(store, namespace_id)
        except NotFoundError:
            raise
        except StoreError as error:
            _log.info("The search index is made anew: %s", error)
            self._copy.close()
            shutil.rmtree(self._directory, ignore_errors=True)
            self._replace(self._directory)
            self._catch_up(store, namespace_id)

    def _replace(self, directory: Path) -> None:
        self._copy.close()
        self._followed.clear()
        self._copy = self._open(directory)

    def _catch_up(self, store: Store, namespace_id: str) -> None:
        namespace = store.get_namespace(namespace_id)
        if self._followed.get(namespace_id) == namespace:
            return
        copy = self._copy.create_namespace(namespace_id, exist_ok=True, created_at=namespace.created_at)
        if copy.created_at != namespace.created_at or not self._is_behind(store, namespace_id, copy.version):
            self._copy.delete_namespace(namespace_id)
            copy = self._copy.create_namespace(namespace_id, created_at=namespace.created_at)
        version = copy.version
        while commits := store.commits(namespace_id, after=version, limit=_COMMITS_AT_ONCE):
            self._copy.restore(namespace_id, commits)
            version = commits[-1].version
        self._followed[namespace_id] = namespace

    def _is_behind(self, store: Store, namespace_id: str, version: int) -> bool:
        """Whether the store has the copy's last commit: a journal may have been replaced by another."""
        if version == 0:
            return True
        ours = self._copy.commits(namespace_id, after=version - 1, limit=1)
        theirs = store.commits(namespace_id, after=version - 1, limit=1)
        return [commit.id for commit in ours] == [commit.id for commit in theirs]
