"""Undoing a run: what it contributed goes, what others contributed stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import (
    ConflictError,
    Delete,
    InvalidInputError,
    NotFoundError,
    Put,
    Store,
    StoreSettings,
    open_store,
    revert,
)
from kaizen.sync import undo_run
from kaizen.sync.state.records import TraceRecord
from kaizen.tips.contradictions import record_contradiction, resolve_contradictions
from kaizen.tips.evidence import StoryKey
from kaizen.tips.merge import merge, retire_merged
from kaizen.tips.reading import story_evidence
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call
from tests.support.stored_tips import changes_of, evidence_by_tip, stored_tip, tip_source
from tests.support.syncing import make_sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer

N = "kaizen"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        store.create_namespace(N)
        yield store


def tip(store: Store, tip_id: str) -> StoredTip:
    return StoredTip.of(store.get(N, tip_id))


def traces(store: Store) -> set[str]:
    return {str(entity.metadata["trace_id"]) for entity in store.iterate(N, type="trajectory")}


def learn(
    store: Store,
    run_id: str,
    trace_id: str,
    *tip_ids: str,
    source: Mapping[str, Any] | None = None,
    **tips: StoredTip,
) -> None:
    """Commit as a run does that the trace backs these tips, old and new ones; `tips` are put as given."""
    record = TraceRecord(
        source="phoenix",
        project="p",
        trace_id=trace_id,
        digest="d",
        state="learned",
        tip_ids=(*tip_ids, *tips),
    )
    story = StoryKey("phoenix", "p", trace_id)
    before = story_evidence(store, N, story)
    learned = list(tips.values())
    for tip_id in tip_ids:
        if entity := store.get_many(N, [tip_id]).get(tip_id):
            found = [each for each in before if each.tip_id == tip_id]
            learned.append(
                StoredTip.of(entity)
                .without_story(story, found)
                .with_source(tip_source(trace_id, **(source or {})))
            )
        else:
            learned.append(stored_tip(tip_id, f"Tip {tip_id}.", trace_id))
    changes = [record.to_put(None, {"run_id": run_id}), *changes_of(*learned)]
    store.commit(N, changes, run_id=run_id, actor="kaizen sync")


def change(store: Store, *tips: StoredTip) -> None:
    """Commit tips as somebody else does."""
    store.commit(N, changes_of(*tips), actor="somebody")


def test_tips_that_nothing_else_backs_go_and_the_traces_count_as_not_learned(store: Store) -> None:
    learn(store, "run-1", "t1", "a", "b")
    learn(store, "run-2", "t2", "c")
    undone = undo_run(store, N, "run-1", reason="it was wrong")
    assert evidence_by_tip(store) == {"c": ["t2"]}
    assert traces(store) == {"t2"}
    assert undone.trace_ids == ("t1",)
    assert undone.commit is not None
    assert undone.commit.reason == "it was wrong"


def test_tips_that_another_run_met_since_keep_its_evidence(store: Store) -> None:
    learn(store, "run-1", "t1", "a")
    learn(store, "run-2", "t2", "a")
    undo_run(store, N, "run-1")
    assert evidence_by_tip(store) == {"a": ["t2"]}
    assert tip(store, "a").metadata["support"] == 1
    assert traces(store) == {"t2"}


@pytest.mark.parametrize("order", [["run-1", "run-2"], ["run-2", "run-1"]])
def test_one_run_can_be_undone_after_the_other(store: Store, order: list[str]) -> None:
    learn(store, "run-0", "t0", "a")
    learn(store, "run-1", "t1", "a", "b")
    learn(store, "run-2", "t2", "a", "b")
    for run_id in order:
        undo_run(store, N, run_id)
    assert evidence_by_tip(store) == {"a": ["t0"]}
    with pytest.raises(InvalidInputError, match="nothing of run 'run-1' is left"):
        undo_run(store, N, "run-1")


def test_undoing_can_be_undone(store: Store) -> None:
    learn(store, "run-1", "t1", "a")
    undone = undo_run(store, N, "run-1")
    assert undone.commit is not None
    revert(store, N, commit_ids=[undone.commit.id])
    assert evidence_by_tip(store) == {"a": ["t1"]}
    assert traces(store) == {"t1"}


def test_what_a_person_decided_on_or_wrote_stays_without_evidence(store: Store) -> None:
    change(store, stored_tip("mine", "Mine."))
    learn(store, "run-1", "t1", "a", "mine")
    reviewed = tip(store, "a")
    change(store, replace(reviewed, metadata={**reviewed.metadata, "review": {"decision": "approved"}}))
    undo_run(store, N, "run-1")
    assert evidence_by_tip(store) == {"a": [], "mine": []}
    assert tip(store, "a").metadata["support"] == 0


def test_a_tip_that_the_run_worded_anew_gets_its_words_back(store: Store) -> None:
    learn(store, "run-1", "t1", "a")
    part = stored_tip("x", "Other words.", "t2").without_evidence()
    merged = merge(tip(store, "a"), [part], content="Better words.").with_source(tip_source("t2"))
    learn(store, "run-2", "t2", a=merged)
    assert tip(store, "a").content == "Better words."
    undo_run(store, N, "run-2")
    assert (tip(store, "a").content, evidence_by_tip(store)) == ("Tip a.", {"a": ["t1"]})
    assert "merged_from" not in tip(store, "a").metadata


def test_a_trace_that_a_later_run_read_again_is_that_run_s(store: Store) -> None:
    learn(store, "run-1", "t1", "a")
    learn(store, "run-2", "t1", "a")
    with pytest.raises(InvalidInputError):
        undo_run(store, N, "run-1")
    assert evidence_by_tip(store) == {"a": ["t1"]}
    undo_run(store, N, "run-2")
    assert (evidence_by_tip(store), traces(store)) == ({}, set())


def test_evidence_is_taken_out_of_the_tip_that_it_was_merged_into(store: Store) -> None:
    learn(store, "run-1", "t1", "kept")
    learn(store, "run-2", "t2", "gone")
    kept, gone = tip(store, "kept"), tip(store, "gone")
    change(store, merge(kept, [gone]), retire_merged(gone, kept))
    assert evidence_by_tip(store) == {"kept": ["t1", "t2"], "gone": []}
    undone = undo_run(store, N, "run-2")
    assert evidence_by_tip(store) == {"kept": ["t1"], "gone": []}
    assert tip(store, "gone").status == "retired"
    assert undone.kept == ("gone",)


def test_the_evidence_of_a_tip_of_before_that_is_not_of_the_run_stays(store: Store) -> None:
    learn(store, "run-1", "t1", a=stored_tip("a", "Tip a."))
    store.commit(N, [Delete(id=entity.id) for entity in store.iterate(N, type="guideline")])
    sources = [tip_source(f"t{number}").to_json() for number in range(8)]
    metadata = {"schema_version": 1, "sources": sources, "support": 8}
    store.commit(N, [Put(id="a", type="guideline", content="Tip a.", metadata=metadata)])

    undo_run(store, N, "run-1")

    assert evidence_by_tip(store) == {"a": [f"t{number}" for number in range(8) if number != 1]}
    assert traces(store) == set()


@pytest.mark.parametrize("met_since", [False, True])
def test_a_tip_that_gave_way_to_one_of_the_run_is_served_again(store: Store, met_since: bool) -> None:
    learn(store, "run-1", "t1", "a")
    new = stored_tip("b", "The opposite.", "t2", "t3")
    new, known = record_contradiction(new, tip(store, "a"), "they differ")
    after = resolve_contradictions({"b": new, "a": known}, {"a": known})
    learn(store, "run-2", "t2", **after)
    learn(store, "run-2", "t3", "b")
    assert (tip(store, "a").status, tip(store, "b").status) == ("retired", "active")
    if met_since:
        learn(store, "run-3", "t4", "a")
    undo_run(store, N, "run-2")
    assert tip(store, "a").status == "active"
    assert set(evidence_by_tip(store)) == {"a"}
    assert "contradicted_by" not in tip(store, "a").metadata


def test_what_else_the_run_changed_is_as_before_unless_others_changed_it_since(store: Store) -> None:
    for number, text in enumerate(("before", "of the run")):
        puts = [Put(id=name, type="note", content=text) for name in ("mine", "theirs")]
        store.commit(N, puts, run_id="run-1" if number else None)
    store.commit(N, [Put(id="theirs", type="note", content="since")])
    undone = undo_run(store, N, "run-1")
    assert {entity.id: entity.content for entity in store.iterate(N)} == {"mine": "before", "theirs": "since"}
    assert undone.kept == ("theirs",)


def test_a_dry_run_plans_the_same_and_changes_nothing(store: Store) -> None:
    learn(store, "run-1", "t1", "a")
    version = store.get_namespace(N).version
    planned = undo_run(store, N, "run-1", dry_run=True)
    assert planned.commit is None
    assert store.get_namespace(N).version == version
    done = undo_run(store, N, "run-1")
    assert [applied.entity_id for applied in planned.changes] == [one.entity_id for one in done.changes]


def test_a_run_that_never_was_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match="'nope'"):
        undo_run(store, N, "nope")


def test_what_others_commit_meanwhile_is_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(store, "run-1", "t1", "a")
    commit, conflicts = store.commit, []

    def commit_late(*args: Any, **more: Any) -> Any:
        if more.get("actor") == "kaizen sync undo" and not conflicts:
            conflicts.append(True)
            monkeypatch.setattr(store, "commit", commit)
            learn(store, "run-2", "t2", "a")
        return commit(*args, **more)

    monkeypatch.setattr(store, "commit", commit_late)
    undo_run(store, N, "run-1")
    assert conflicts
    assert evidence_by_tip(store) == {"a": ["t2"]}

    def never(*args: Any, **more: Any) -> Any:
        raise ConflictError("changed", namespace_id=N)

    monkeypatch.setattr(store, "commit", never)
    with pytest.raises(ConflictError):
        undo_run(store, N, "run-2")


def test_the_next_sync_learns_the_same_again(store: Store, scripted: ModelServer) -> None:
    def asked(word: str, at: int) -> Any:
        return one_call(word, at, [{"role": "user", "content": f"What is LESSON-{word}?"}], "That.")

    source = ListedSource([asked("alpha", 0), asked("beta", 1)])
    first = make_sync(source, store).run()
    before = {
        tip.content: tip.metadata["support"] for tip in map(StoredTip.of, store.iterate(N, type="guideline"))
    }
    assert len(before) == 2
    undone = undo_run(store, N, first.run_id)
    assert set(undone.trace_ids) == {"alpha", "beta"}
    assert evidence_by_tip(store) == {}
    again = make_sync(source, store).run()
    assert again.processed["learned"] == 2
    assert before == {
        tip.content: tip.metadata["support"] for tip in map(StoredTip.of, store.iterate(N, type="guideline"))
    }
