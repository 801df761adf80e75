"""A fleet's database for each test."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from kaizen.sync.fleet import Database
from tests.support.postgres import database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.shared import SharedServer


@pytest.fixture
def url(postgres: SharedServer) -> str:
    return database(postgres.url, f"fleet{uuid.uuid4().hex[:12]}")


@pytest.fixture
def tables(url: str) -> Iterator[Database]:
    tables = Database(url)
    tables.prepare()
    yield tables
    tables.close()
