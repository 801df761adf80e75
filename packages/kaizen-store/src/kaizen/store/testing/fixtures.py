"""What all parts of the contract start from: an open store with one empty namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from kaizen.store.contract import Store

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
