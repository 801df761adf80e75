"""The sqlite backend keeps the contract of a store, and has a file that people can rely on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from kaizen.store import StoreSettings
from kaizen.store.sqlite import SqliteBackend
from kaizen.store.testing import OpenStore, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(SqliteBackend.open, StoreSettings(data_dir=tmp_path / "data", embedder="none"))
