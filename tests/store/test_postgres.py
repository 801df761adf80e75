"""The postgres backend keeps the contract of a store, on a real server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from kaizen.store import StoreSettings
from kaizen.store.ids import uuid7
from kaizen.store.postgres import PostgresBackend
from kaizen.store.postgres_schema import OF_NAMESPACE
from kaizen.store.testing import OpenStore, StoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.shared import SharedServer


@pytest.fixture(scope="session")
def database(postgres: SharedServer) -> str:
    """A database of this test process."""
    name = f"test-{uuid7()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return postgres.url.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def admin(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def dsn(database: str, admin: psycopg.Connection) -> str:
    """A database without entities. It may have tables: emptying them is faster than making them."""
    if admin.execute("SELECT to_regclass('kaizen.migrations')").fetchone() != (None,):
        for table in (*OF_NAMESPACE, "models"):
            admin.execute(f"DELETE FROM kaizen.{table}")
    return database


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def open_store(self, dsn: str) -> OpenStore:
        return partial(PostgresBackend.open, StoreSettings(backend="postgres", pg_dsn=dsn, embedder="none"))
