"""What is kept of a namespace is as the store has it, after whatever was committed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from kaizen.serve.pages import kept as kept_module
from kaizen.serve.pages.catalogue import SORTS, Catalogue, TipFilter
from kaizen.serve.pages.kept import Kept
from kaizen.store import Delete, NotFoundError, StoreError, open_store
from tests.support.paging import looking, settings_in
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from pathlib import Path


def test_a_catalogue_follows_every_commit(tmp_path: Path) -> None:
    chosen = random.Random(7)
    with open_store(settings_in(tmp_path)) as store:
        store.create_namespace("kaizen")
        followed = Catalogue(store, "kaizen")
        for sort in SORTS:
            followed.list_ids(TipFilter(sort=sort))
        for step in range(60):
            tip_id = f"tip-{chosen.randrange(12)}"
            traces = [f"t{tip_id}{n}" for n in range(chosen.randrange(1, 4))]
            status = chosen.choice(["active", "quarantined", "retired"])
            if chosen.random() < 0.3 and store.get_many("kaizen", [tip_id]):
                store.commit("kaizen", [Delete(id=tip_id)])
            else:
                tip = stored_tip(tip_id, f"Do {step}.", *traces, status=status)
                store.commit("kaizen", changes_of(tip.with_metadata(tools={f"tool-{step % 3}": "1"})))
            followed.refresh()
        fresh = Catalogue(store, "kaizen")
    for sort in SORTS:
        for status in ("", "active"):
            wanted = TipFilter(sort=sort, status=status)
            assert followed.list_ids(wanted) == fresh.list_ids(wanted)
    for field in ("status", "category", "tools", "verdict"):
        assert dict(followed.counts(field)) == dict(fresh.counts(field))


def test_a_namespace_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    with open_store(settings_in(tmp_path)) as store:
        kept = Kept(store)
        store.create_namespace("kaizen")
        store.commit("kaizen", changes_of(stored_tip("one", "Do it.")))
        catalogue = kept.catalogue("kaizen")
        assert catalogue is not None
        assert len(catalogue) == 1
        store.delete_namespace("kaizen")
        with pytest.raises(NotFoundError):
            kept.catalogue("kaizen")
        store.create_namespace("kaizen")
        catalogue = kept.catalogue("kaizen")
        assert catalogue is not None
        assert len(catalogue) == 0


def test_a_large_namespace_is_read_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(kept_module, "FEW", 0)
    go_on = threading.Event()

    class Slow(Catalogue):
        def __init__(self, *arguments: object) -> None:
            go_on.wait(20)
            super().__init__(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_module, "Catalogue", Slow)
    where = settings_in(tmp_path)
    with open_store(where) as store:
        store.create_namespace("kaizen")
        store.commit("kaizen", changes_of(stored_tip("one", "Do it.")))
        with looking(store, where) as client:
            try:
                first = client.get("/ns/kaizen/tips").text
                assert "Reading the tips" in first
                assert 'hx-get="/ns/kaizen/tips?"' in first
                # What the page takes of the answer until then is there.
                again = client.get("/ns/kaizen/tips?", headers={"HX-Request": "true", "HX-Target": "main"})
                assert 'id="main"' in again.text
                assert client.get("/ns/kaizen/recall").status_code == 200
            finally:
                go_on.set()
            for _ in range(1000):
                text = client.get("/").text
                if "Reading all runs" not in text:
                    break
            assert "Do it." in text
            assert "Do it." in client.get("/ns/kaizen/tips").text


def test_an_error_in_the_background_is_raised_where_it_is_asked_for(tmp_path: Path) -> None:
    with open_store(settings_in(tmp_path)) as store:
        store.create_namespace("kaizen")
        value: kept_module._Value[int] = kept_module._Value()

        def fail() -> int:
            raise StoreError("gone")

        with pytest.raises(StoreError, match="gone"):
            value.get(1, fail, wait=True)
        assert value.get(2, lambda: 5, wait=True) == 5
        assert value.get(3, lambda: 6, wait=False) == 5
