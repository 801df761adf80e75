"""Stores to test with what works on any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.store import Store, StoreSettings, open_store, uuid7
from tests.support.postgres import database as make_database

if TYPE_CHECKING:
    import psycopg

    from tests.support.shared import SharedServer


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Opens a store of the backend given, each time another one."""
    with ExitStack() as stack:
        made: list[Store] = []

        def make(backend: str) -> Store:
            settings = StoreSettings(
                backend=backend, data_dir=tmp_path / f"store-{len(made)}", embedder="none"
            )
            made.append(stack.enter_context(open_store(settings)))
            return made[-1]

        yield make


@pytest.fixture(scope="session")
def database(postgres: SharedServer) -> str:
    """A database of this test process."""
    return make_database(postgres.url, f"test-{uuid7()}")


@pytest.fixture(scope="session")
def admin(database: str) -> Iterator[psycopg.Connection]:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def dsn(database: str, admin: psycopg.Connection) -> str:
    """A database without entities. It may have tables: emptying them is faster than making them."""
    from kaizen.store.backends.postgres.schema import OF_NAMESPACE

    if admin.execute("SELECT to_regclass('kaizen.migrations')").fetchone() != (None,):
        for table in (*OF_NAMESPACE, "models"):
            admin.execute(f"DELETE FROM kaizen.{table}")
    return database
