"""The backend that the guide shows keeps the contract of a store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from examples.own_backend.bucket_store import BucketStore
from kaizen.store import StoreSettings
from kaizen.store.testing import OpenStore, StoreContract


class TestBucketStore(StoreContract):
    kill_rounds = 3
    model_examples = 5

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(BucketStore.open, StoreSettings(data_dir=tmp_path / "bucket", embedder="none"))


def test_it_is_as_short_as_the_guide_says() -> None:
    from examples.own_backend import bucket_store

    lines = Path(bucket_store.__file__).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) < 150
