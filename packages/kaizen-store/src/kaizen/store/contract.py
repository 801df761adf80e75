"""Define the contract of a store: what every backend offers, and nothing that only one of them can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from types import TracebackType

    from kaizen.store.model import Change, Commit, Entity, Expected, Metadata, Namespace, Page, SearchHit
    from kaizen.store.settings import StoreSettings


@runtime_checkable
class Store(Protocol):
    """An open store. One instance may be shared by threads; several processes may open the same data.

    What it returns belongs to the caller: changing a returned `metadata` changes nothing stored.

    Every method raises `InvalidInputError` for an unacceptable id or argument, `NotFoundError` for a
    namespace that does not exist, `UnavailableError` and `CorruptDataError` for what lies below.
    """

    @property
    def location(self) -> str:
        """Return where the data is, for people: a path or a URL without its password."""
        ...

    def create_namespace(
        self, namespace_id: str, *, exist_ok: bool = False, created_at: datetime | None = None
    ) -> Namespace:
        """Create a namespace; raise `ConflictError` if it exists, unless `exist_ok`.

        `created_at` is for copies of a namespace that was created elsewhere; by default it is now.
        """
        ...

    def get_namespace(self, namespace_id: str) -> Namespace: ...

    def list_namespaces(self) -> list[Namespace]:
        """Return all namespaces in order of id."""
        ...

    def delete_namespace(self, namespace_id: str) -> None:
        """Remove the namespace with its entities and its history. This cannot be undone."""
        ...

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
        """Apply all changes together or none of them, durably, and return the commit.

        `changes` is not empty and names no entity twice. A `Delete` of what is not there raises
        `NotFoundError`. `expected` is checked in the same step that applies the changes and raises
        `ConflictError`; it may name entities that the changes do not touch. It is checked first: a
        `Delete` of what somebody else deleted meanwhile is a conflict where its revision was expected.
        """
        ...

    def restore(self, namespace_id: str, commits: Sequence[Commit]) -> None:
        """Append commits that were made elsewhere as they are: ids, versions, times and revisions are kept.

        `ConflictError`, and nothing changed, unless the versions go on from the namespace's and each change
        starts from what is there. After a crash in the middle, some of the first commits may be there.
        """
        ...

    def get(self, namespace_id: str, entity_id: str) -> Entity:
        """Return the entity; raise `NotFoundError` if it does not exist."""
        ...

    def get_many(self, namespace_id: str, entity_ids: Sequence[str]) -> dict[str, Entity]:
        """Return those of the named entities that exist, by id."""
        ...

    def history(self, namespace_id: str, entity_id: str) -> list[Commit]:
        """Return the commits that touched the entity, oldest first, each with only the change to it.

        Empty if no commit ever did; deleted entities keep their history.
        """
        ...

    def commits(
        self, namespace_id: str, *, run_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Commit]:
        """Return commits whose version is greater than `after`, oldest first, at most `limit`."""
        ...

    def list(
        self,
        namespace_id: str,
        *,
        type: str | None = None,
        where: Metadata | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return one page of entities in order of id, by code point.

        `where` maps dotted metadata paths to values that must be equal (`{"category": "recovery"}`); a
        path that leads nowhere equals None. Equal as JSON: 1 is 1.0 and is not true.
        """
        ...

    def iterate(
        self, namespace_id: str, *, type: str | None = None, where: Metadata | None = None
    ) -> Iterator[Entity]:
        """Read all matching entities in order of id, page by page."""
        ...

    def count(self, namespace_id: str, *, type: str | None = None, where: Metadata | None = None) -> int: ...

    def count_by_type(self, namespace_id: str) -> dict[str, int]:
        """Count the entities of each type that there is, in order of the type."""
        ...

    def search(
        self,
        namespace_id: str,
        query: str,
        *,
        type: str | None = None,
        where: Metadata | None = None,
        limit: int = 10,
    ) -> Sequence[SearchHit]:
        """Return the entities that fit the query best, best first, of those that `type` and `where` select.

        By words (an entity need not have all of them) and, with an embedder, by meaning. What is searched
        is the content, and of tips their trigger and task too: see `kaizen.store.text`.
        """
        ...

    def check(self) -> None:
        """Read and write enough to know that the store works; raise what a commit would raise."""
        ...

    def close(self) -> None:
        """Release locks, files and connections. Closing twice is fine; using it after raises `StoreError`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Reindexable(Protocol):
    """A store that keeps embeddings and can bring them all up to date."""

    def reindex(self, namespace_id: str, *, progress: Callable[[int, int], None] = ...) -> int:
        """Embed what the current embedder has not embedded yet, and return how many entities that were.

        Embeddings by other models are removed. `progress` is called with how many of a type are done and
        how many there are. A search embeds on its own, so this is for many entities at once.
        """
        ...


@runtime_checkable
class Exclusive(Protocol):
    """A store that many machines change at once, and that can let one of them go first."""

    def exclusive(self, namespace_id: str) -> AbstractContextManager[None]:
        """Let only this thread commit to the namespace meanwhile; the commits of others wait."""
        ...


class Backend(Protocol):
    """A kind of store; an entry point of the group `kaizen.store.backends` names its class."""

    @staticmethod
    def open(settings: StoreSettings) -> Store:
        """Open the store that the settings describe. What is missing may be created at the first write."""
        ...
