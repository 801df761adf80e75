"""Start a store of one's own: the public methods, which check what callers pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from kaizen.store.commits import CommitRequest
from kaizen.store.errors import InvalidInputError, NotFoundError
from kaizen.store.filtering import Filter
from kaizen.store.validation import (
    check_after_version,
    check_commit,
    check_entity_id,
    check_limit,
    check_namespace_id,
    check_text,
    check_time,
    clean_changes,
    clean_expected,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.store.model import Change, Commit, Entity, Expected, Metadata, Namespace, Page, SearchHit

_ITERATE_PAGE = 500


class BaseStore(ABC):
    """Implement `kaizen.store.Store` on top of the methods with an underscore, which a backend has to give.

    They get arguments that are checked and shared with nobody, and raise what `Store` says of the public
    methods. A method that reads returns values that are the caller's own.
    """

    @property
    @abstractmethod
    def location(self) -> str: ...

    @abstractmethod
    def _create_namespace(self, namespace_id: str, *, exist_ok: bool, created_at: datetime) -> Namespace: ...

    @abstractmethod
    def _get_namespace(self, namespace_id: str) -> Namespace: ...

    @abstractmethod
    def _list_namespaces(self) -> list[Namespace]: ...

    @abstractmethod
    def _delete_namespace(self, namespace_id: str) -> None: ...

    @abstractmethod
    def _commit(self, namespace_id: str, request: CommitRequest) -> Commit: ...

    @abstractmethod
    def _restore(self, namespace_id: str, commits: Sequence[Commit]) -> None: ...

    @abstractmethod
    def _get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]: ...

    @abstractmethod
    def _history(self, namespace_id: str, entity_id: str) -> list[Commit]: ...

    @abstractmethod
    def _commits(self, namespace_id: str, *, run_id: str | None, after: int, limit: int) -> list[Commit]: ...

    @abstractmethod
    def _page(self, namespace_id: str, selected: Filter, *, after: str | None, limit: int) -> Page: ...

    @abstractmethod
    def _count(self, namespace_id: str, selected: Filter) -> int: ...

    def _count_by_type(self, namespace_id: str) -> dict[str, int]:
        """Reads every entity; a backend that can count without that does it instead."""
        return Counter(entity.type for entity in self.iterate(namespace_id))

    @abstractmethod
    def _search(self, namespace_id: str, query: str, selected: Filter, *, limit: int) -> list[SearchHit]: ...

    @abstractmethod
    def check(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def create_namespace(
        self, namespace_id: str, *, exist_ok: bool = False, created_at: datetime | None = None
    ) -> Namespace:
        created_at = datetime.now(UTC) if created_at is None else check_time("created_at", created_at)
        return self._create_namespace(
            check_namespace_id(namespace_id), exist_ok=exist_ok, created_at=created_at
        )

    def get_namespace(self, namespace_id: str) -> Namespace:
        return self._get_namespace(check_namespace_id(namespace_id))

    def list_namespaces(self) -> list[Namespace]:
        return self._list_namespaces()

    def delete_namespace(self, namespace_id: str) -> None:
        self._delete_namespace(check_namespace_id(namespace_id))

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
        check_namespace_id(namespace_id)
        request = CommitRequest(
            changes=clean_changes(changes),
            expected=clean_expected(expected),
            actor=check_text("actor", actor),
            reason=check_text("reason", reason),
            run_id=_clean_run_id(run_id),
        )
        return self._commit(namespace_id, request)

    def restore(self, namespace_id: str, commits: Sequence[Commit]) -> None:
        check_namespace_id(namespace_id)
        if any(commit.namespace_id != namespace_id for commit in commits):
            raise InvalidInputError(f"only commits of namespace {namespace_id!r} can be restored into it")
        for commit in commits:
            check_commit(commit)
        if commits:
            self._restore(namespace_id, commits)

    def get(self, namespace_id: str, entity_id: str) -> Entity:
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
        return self._get_many(check_namespace_id(namespace_id), asked)

    def history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        return self._history(check_namespace_id(namespace_id), check_entity_id(entity_id))

    def commits(
        self, namespace_id: str, *, run_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Commit]:
        return self._commits(
            check_namespace_id(namespace_id),
            run_id=_clean_run_id(run_id),
            after=check_after_version(after),
            limit=check_limit(limit),
        )

    def list(
        self,
        namespace_id: str,
        *,
        type: str | None = None,
        where: Metadata | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        return self._page(
            check_namespace_id(namespace_id),
            Filter.parse(type, where),
            after=None if after is None else check_text("after", after),
            limit=check_limit(limit),
        )

    def iterate(
        self, namespace_id: str, *, type: str | None = None, where: Metadata | None = None
    ) -> Iterator[Entity]:
        # The first page is read here, so that a wrong argument is raised at the call already.
        first = self.list(namespace_id, type=type, where=where, limit=_ITERATE_PAGE)

        def entities(page: Page) -> Iterator[Entity]:
            yield from page.entities
            while page.cursor is not None:
                page = self.list(namespace_id, type=type, where=where, after=page.cursor, limit=_ITERATE_PAGE)
                yield from page.entities

        return entities(first)

    def count(self, namespace_id: str, *, type: str | None = None, where: Metadata | None = None) -> int:
        return self._count(check_namespace_id(namespace_id), Filter.parse(type, where))

    def count_by_type(self, namespace_id: str) -> dict[str, int]:
        counts = self._count_by_type(check_namespace_id(namespace_id))
        return {type_: count for type_, count in sorted(counts.items()) if count}

    def search(
        self,
        namespace_id: str,
        query: str,
        *,
        type: str | None = None,
        where: Metadata | None = None,
        limit: int = 10,
    ) -> Sequence[SearchHit]:
        return self._search(
            check_namespace_id(namespace_id),
            check_text("query", query),
            Filter.parse(type, where),
            limit=check_limit(limit),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _clean_run_id(run_id: str | None) -> str | None:
    return None if run_id is None else check_text("run id", run_id)
