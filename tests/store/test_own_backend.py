"""The backend that the guide shows keeps the contract of a store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from examples.own_backend.bucket_store import BucketStore
from kaizen.store import NotFoundError, Put, StoreSettings
from kaizen.store.testing import OpenStore, StoreContract
from kaizen.store.testing.histories import HistoryContract
from tests.support.slow import SLOW

# The whole contract takes a minute: CI runs it.
CONTRACT: type = StoreContract if SLOW else HistoryContract


class TestBucketStore(CONTRACT):
    kill_rounds = 3
    model_examples = 5

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(BucketStore.open, StoreSettings(data_dir=tmp_path / "bucket", embedder="none"))


def test_it_is_as_short_as_the_guide_says() -> None:
    from examples.own_backend import bucket_store

    lines = Path(bucket_store.__file__).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) < 150


def test_a_commit_to_a_namespace_deleted_meanwhile_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StoreSettings(data_dir=tmp_path / "bucket", embedder="none")
    with BucketStore.open(settings) as store, BucketStore.open(settings) as other:
        store.create_namespace("n")
        create = store._create

        def create_late(*arguments: object) -> object:
            monkeypatch.setattr(store, "_create", create)
            other.delete_namespace("n")
            return create(*arguments)

        monkeypatch.setattr(store, "_create", create_late)
        with pytest.raises(NotFoundError):
            store.commit("n", [Put(id="e", type="t", content="")])
        (tmp_path / "bucket" / "half-created").mkdir()
        assert store.list_namespaces() == []


def test_what_it_was_given_is_there_in_the_next_process(tmp_path: Path) -> None:
    settings = StoreSettings(data_dir=tmp_path / "bucket", embedder="none")
    with BucketStore.open(settings) as store:
        store.create_namespace("n")
        store.commit("n", [Put(id="e", type="t", content="a needle", metadata={"x": 1})])
    with BucketStore.open(settings) as store:
        assert [hit.entity.id for hit in store.search("n", "needle", where={"x": 1.0})] == ["e"]
        assert [commit.version for commit in store.history("n", "e")] == [1]
