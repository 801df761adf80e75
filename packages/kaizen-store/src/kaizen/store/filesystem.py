"""The filesystem backend: a directory with one journal for each namespace."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from kaizen.store import files, locking
from kaizen.store.errors import CorruptDataError, NotFoundError, StoreError
from kaizen.store.filtering import Filter
from kaizen.store.ids import uuid7
from kaizen.store.journal import JOURNALS, SUFFIX, Journal
from kaizen.store.names import namespace_id_of
from kaizen.store.state import copied
from kaizen.store.validation import (
    check_after_version,
    check_entity_id,
    check_limit,
    check_namespace_id,
    check_text,
    clean_changes,
    clean_expected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from kaizen.store.model import Change, Commit, Entity, Expected, JsonValue, Namespace, Page
    from kaizen.store.settings import StoreSettings

_ITERATE_PAGE = 500


class FilesystemBackend:
    """What the entry point `filesystem` names."""

    @staticmethod
    def open(settings: StoreSettings) -> FilesystemStore:
        """Open the store in `settings.data_dir`; the directory is made at the first write."""
        return FilesystemStore(settings.data_dir)


class FilesystemStore:
    """Implements `kaizen.store.Store`; see there for what each method promises."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._journals: dict[str, Journal] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def location(self) -> str:
        return str(self._data_dir)

    def create_namespace(self, namespace_id: str, *, exist_ok: bool = False) -> Namespace:
        with self._journal(namespace_id) as journal:
            if exist_ok:
                try:
                    return journal.describe()
                except NotFoundError:
                    pass
            return journal.create(exist_ok=exist_ok)

    def get_namespace(self, namespace_id: str) -> Namespace:
        with self._journal(namespace_id) as journal:
            return journal.describe()

    def list_namespaces(self) -> list[Namespace]:
        found: list[Namespace] = []
        for namespace_id in self._namespace_ids():
            try:
                found.append(self.get_namespace(namespace_id))
            except NotFoundError:  # deleted since the directory was read
                continue
        return found

    def delete_namespace(self, namespace_id: str) -> None:
        with self._journal(namespace_id) as journal:
            journal.delete()

    def commit(
        self,
        namespace_id: str,
        changes: Sequence[Change],
        *,
        expected: Expected | None = None,
        actor: str = "",
        reason: str = "",
        run_id: str | None = None,
    ) -> Commit:
        with self._journal(namespace_id) as journal:
            return journal.commit(
                clean_changes(changes),
                expected=clean_expected(expected),
                actor=check_text("actor", actor),
                reason=check_text("reason", reason),
                run_id=None if run_id is None else check_text("run id", run_id),
            )

    def get(self, namespace_id: str, entity_id: str) -> Entity:
        check_entity_id(entity_id)
        found = self.get_many(namespace_id, [entity_id])
        if entity_id not in found:
            raise NotFoundError(
                f"entity {entity_id!r} does not exist in namespace {namespace_id!r}",
                namespace_id=namespace_id,
                entity_id=entity_id,
            )
        return found[entity_id]

    def get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        asked = [check_entity_id(entity_id) for entity_id in entity_ids]
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return {
                entity_id: copied(state.entities[entity_id])
                for entity_id in asked
                if entity_id in state.entities
            }

    def history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        check_entity_id(entity_id)
        with self._journal(namespace_id) as journal:
            return journal.read_history(entity_id)

    def commits(
        self, namespace_id: str, *, run_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Commit]:
        with self._journal(namespace_id) as journal:
            return journal.read_commits(
                None if run_id is None else check_text("run id", run_id),
                after=check_after_version(after),
                limit=check_limit(limit),
            )

    def list(
        self,
        namespace_id: str,
        *,
        type: str | None = None,
        where: Mapping[str, JsonValue] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        selected = Filter.parse(type, where)
        check_limit(limit)
        after = None if after is None else check_text("after", after)
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return state.page(selected, after=after, limit=limit)

    def iterate(
        self, namespace_id: str, *, type: str | None = None, where: Mapping[str, JsonValue] | None = None
    ) -> Iterator[Entity]:
        # The first page is read here, so that a wrong argument is raised at the call already.
        first = self.list(namespace_id, type=type, where=where, limit=_ITERATE_PAGE)

        def entities(page: Page) -> Iterator[Entity]:
            yield from page.entities
            while page.cursor is not None:
                page = self.list(namespace_id, type=type, where=where, after=page.cursor, limit=_ITERATE_PAGE)
                yield from page.entities

        return entities(first)

    def count(
        self, namespace_id: str, *, type: str | None = None, where: Mapping[str, JsonValue] | None = None
    ) -> int:
        selected = Filter.parse(type, where)
        with self._journal(namespace_id) as journal, journal.reading() as state:
            return state.count(selected)

    def check(self) -> None:
        directory = self._data_dir / JOURNALS
        probe = directory / f".check-{uuid7()}"
        with files.os_errors(directory):
            files.make_directory(directory)
            try:
                with locking.exclusive(probe):
                    files.append(probe, b"probe\n")
            finally:
                probe.unlink(missing_ok=True)
        for namespace_id in self._namespace_ids():
            with self._journal(namespace_id) as journal:
                journal.check()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._journals.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _journal(self, namespace_id: str) -> Iterator[Journal]:
        check_namespace_id(namespace_id)
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
