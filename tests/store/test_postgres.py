"""The postgres backend keeps the contract of a store, on a real server."""

from __future__ import annotations

import os
from functools import partial

import pytest

from kaizen.store import StoreSettings
from kaizen.store.postgres import PostgresBackend
from kaizen.store.testing import OpenStore, StoreContract


class TestPostgresStore(StoreContract):
    # a round trip for each step, and a driver to import for each process
    kill_rounds = int(os.environ.get("STORE_CONTRACT_KILL_ROUNDS", "3"))
    model_examples = 8

    @pytest.fixture
    def open_store(self, dsn: str) -> OpenStore:
        return partial(PostgresBackend.open, StoreSettings(backend="postgres", pg_dsn=dsn, embedder="none"))
