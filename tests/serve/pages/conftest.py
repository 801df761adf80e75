"""Stores to look at, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.store import open_store
from tests.support.paging import fill_with_runs, hostile_tips, looking, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

    from kaizen.store import Store, StoreSettings


@pytest.fixture(scope="package")
def measured(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    """A store with runs, tips, evidence and what was measured; not to be changed."""
    return fill_with_runs(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="package")
def measured_store(measured: StoreSettings) -> Iterator[Store]:
    with open_store(measured) as store:
        yield store


@pytest.fixture
def page(measured_store: Store, measured: StoreSettings) -> Iterator[TestClient]:
    """A reviewer who looks at that store."""
    with looking(measured_store, measured) as client:
        yield client


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[TestClient]:
    """A reviewer of a store with hostile texts."""
    where = settings_in(tmp_path)
    with open_store(where) as store:
        hostile_tips(store)
        with looking(store, where) as client:
            yield client
