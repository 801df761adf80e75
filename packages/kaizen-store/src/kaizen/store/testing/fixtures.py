"""What all parts of the contract start from: an open store with one empty namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from kaizen.store.contract import Store
from kaizen.store.model import Metadata, Put

OpenStore: TypeAlias = Callable[[], Store]

NAMESPACE = "work"


class StoreFixtures:
    """`open_store` is what a subclass gives; `store` is what most tests use."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """A function that opens a store, on the same data each time it is called."""
        pytest.fail("a subclass of StoreContract must define the fixture open_store")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Store]:
        with open_store() as store:
            store.create_namespace(NAMESPACE)
            yield store


def put(
    entity_id: str | None = None, content: str = "", *, type: str = "t", metadata: Metadata | None = None
) -> Put:
    """Return a `Put` of which only what a test is about is written out."""
    return Put(id=entity_id, type=type, content=content, metadata={} if metadata is None else metadata)


def both(store: Store, open_store: OpenStore) -> Iterator[Store]:
    """Give the store, which may remember what it wrote, then one opened since, which must read it."""
    with open_store() as reopened:
        yield from (store, reopened)


def calls_on(store: Store, namespace_id: str) -> list[Callable[[], object]]:
    """Return a call of each method that needs the namespace."""
    return [
        lambda: store.get_namespace(namespace_id),
        lambda: store.delete_namespace(namespace_id),
        lambda: store.commit(namespace_id, [put()]),
        lambda: store.get(namespace_id, "e"),
        lambda: store.get_many(namespace_id, ["e"]),
        lambda: store.list(namespace_id),
        lambda: store.iterate(namespace_id),
        lambda: store.count(namespace_id),
        lambda: store.history(namespace_id, "e"),
        lambda: store.commits(namespace_id),
    ]
