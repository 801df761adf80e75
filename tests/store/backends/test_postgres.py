"""The postgres backend keeps the contract of a store, on a real server."""

from __future__ import annotations

from functools import partial

import pytest

from kaizen.store import StoreSettings
from kaizen.store.backends.postgres import PostgresBackend
from kaizen.store.testing import OpenStore, StoreContract
from kaizen.store.testing.commits import CommitContract
from kaizen.store.testing.concurrency import CrashContract
from kaizen.store.testing.histories import HistoryContract, RestoreContract
from kaizen.store.testing.searches import SearchContract
from tests.support.slow import KILL_ROUNDS, SLOW


class QuickContract(CommitContract, HistoryContract, RestoreContract, SearchContract, CrashContract):
    """What of the contract is a matter of this backend rather than of what all share; CI runs all of it."""


CONTRACT: type = StoreContract if SLOW else QuickContract


class TestPostgresStore(CONTRACT):
    # a round trip for each step, and a driver to import for each process
    kill_rounds = KILL_ROUNDS
    model_examples = 8

    @pytest.fixture
    def open_store(self, dsn: str) -> OpenStore:
        return partial(PostgresBackend.open, StoreSettings(backend="postgres", pg_dsn=dsn, embedder="none"))
