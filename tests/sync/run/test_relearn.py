"""Learning again from what the store keeps: one run, and what people took out stays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.store import Delete, Store, StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, StoredProject, Sync, SyncSettings, undo_run
from kaizen.tips.review import retire_tips
from kaizen.tips.tip import StoredTip
from tests.sync.knowledge.test_claim_tests import drained, learn, limited, taken, the_tip, tips

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync import Report

N = "kaizen"


def relearn(store: Store, **settings: Any) -> Report:
    source = StoredProject("listed", "stories", lambda trace_id, span_id: f"listed:{trace_id}/{span_id}")
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    where = SyncSettings(namespace_id=N, include_errors=True, **settings)
    return Sync(source, store, where, models, relearn=True).run()


def said(store: Store) -> dict[str, dict[str, Any]]:
    """What the tips are, without what a run has of its own."""
    return {
        text: {name: value for name, value in tip.metadata.items() if name not in ("run_id", "sources")}
        for text, tip in tips(store).items()
    }


def records(store: Store) -> dict[str, tuple[str, Any]]:
    found = store.iterate(N, type="trajectory")
    return {entity.id: (entity.content, entity.metadata["state"]) for entity in found}


def test_learning_again_with_the_same_generator_changes_no_tip(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        learn(store, taken("one"), drained("two", at=1), limited("three", 70, at=2))
        before, kept = said(store), records(store)
        report = relearn(store)
        assert (report.traces, report.states["learned"]) == (3, 3)
        assert said(store) == before
        assert records(store) == kept


def test_what_an_older_generator_said_is_replaced_as_one_run_that_can_be_undone(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        learn(store, taken("one"), drained("two", at=1))
        for entity in store.iterate(N, type="guideline"):
            tip = StoredTip.of(entity).with_metadata(claim=None, signature=None, status="active")
            store.commit(N, tip.with_content(f"Old words {entity.id}.").to_changes())
        before, kept = said(store), records(store)
        report = relearn(store)
        assert {tip.claim["kind"] for tip in tips(store).values()} == {"source", "before"}
        undone = undo_run(store, N, report.run_id)
        assert said(store) == before
        assert records(store) == kept
        assert undone.trace_ids == ()


def test_only_traces_since_then_are_learned_again(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        learn(store, taken("one"), drained("two", at=60))
        found = store.iterate(N, type="trajectory")
        starts = {str(e.metadata["trace_id"]): str(e.metadata["story"]["start_time"]) for e in found}  # type: ignore[call-overload,index]
        report = relearn(store, since=starts["two"])
        assert report.traces == 1


def test_tips_that_were_deleted_or_rejected_stay_away(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        learn(store, taken("one"), drained("two", at=1))
        entities = {StoredTip.of(e).claim["kind"]: e for e in store.iterate(N, type="guideline")}
        store.commit(N, [Delete(id=entities["source"].id)], actor="kaizen entities delete")
        retire_tips(store, [entities["before"]])
        relearn(store)
        assert (the_tip(store).claim["kind"], the_tip(store).status) == ("before", "retired")


def test_a_tip_that_undoing_took_out_may_come_back(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        report = learn(store, taken("one"))
        undo_run(store, N, report.run_id)
        learn(store, taken("one"))
        relearn(store)
        assert the_tip(store).claim["kind"] == "source"


def test_a_preview_says_how_many_and_changes_nothing(tmp_path: Path) -> None:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        learn(store, taken("one"), drained("two", at=1))
        before = said(store)
        source = StoredProject("listed", "stories", lambda *_: "")
        settings = SyncSettings(namespace_id=N, include_errors=True, dry_run=True)
        models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
        preview = Sync(source, store, settings, models, relearn=True).preview()
        assert len(preview.tokens) == 2
        assert said(store) == before
