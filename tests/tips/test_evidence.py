"""The evidence of a tip: counted on the tip, stored beside it, and brought over from tips of before."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import Delete, Put
from kaizen.tips import StoredTip, edit_tip, migrate_tips, newest_evidence, tip_changes
from kaizen.tips.contradictions import backing
from kaizen.tips.evidence import EVIDENCE, StoryKey
from kaizen.tips.reading import story_evidence
from kaizen.tips.tip import NEWEST, QUOTE_MISSING, SCHEMA_VERSION
from tests.support.stored_tips import changes_of, evidence_by_tip, stored_tip, tip_source
from tests.support.syncing import BACKENDS, open_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.store import Store

N = "kaizen"
MANY = [f"t{number:02}" for number in range(12)]


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    backend = request.param
    if backend == "postgres":
        backend = str(request.getfixturevalue("postgres").url)
    with open_data_dir(tmp_path, backend) as store:
        store.create_namespace(N)
        yield store


def stored(store: Store, tip_id: str = "tip") -> StoredTip:
    return StoredTip.of(store.get(N, tip_id))


def put(store: Store, tip: StoredTip, before: StoredTip | None = None) -> None:
    store.commit(N, tip_changes(store, N, tip, before))


def story(trace_id: str) -> StoryKey:
    return StoryKey("phoenix", "p", trace_id)


def without(store: Store, tip: StoredTip, trace_id: str) -> StoredTip:
    return tip.without_story(story(trace_id), story_evidence(store, N, story(trace_id)))


def old_tip(store: Store, *traces: str, tip_id: str = "tip", **metadata: Any) -> None:
    """Put a tip as Kaizen did when it held all its sources."""
    sources = [tip_source(trace_id).to_json() for trace_id in traces]
    known = {"status": "active", "schema_version": 1, "creation_mode": "auto-phoenix", "support": len(traces)}
    store.commit(
        N, [Put(id=tip_id, type="guideline", content="x", metadata={**known, "sources": sources, **metadata})]
    )


def test_a_tip_shows_the_newest_sources_and_the_store_has_them_all(store: Store) -> None:
    put(store, stored_tip("tip", "x", *MANY))

    assert evidence_by_tip(store) == {"tip": MANY}
    tip = stored(store)
    assert [source["trace_id"] for source in tip.sources] == MANY[-NEWEST:]
    assert (tip.support, tip.support_by) == (12, {"unknown": 12})
    assert tip.metadata["source_task_id"] == "t00"


def test_the_newest_evidence_comes_first(store: Store) -> None:
    put(store, stored_tip("tip", "x", "a"))
    for trace_id in ("c", "b"):
        put(store, stored(store).with_source(tip_source(trace_id)))

    newest = newest_evidence(store, N, stored(store))

    assert [each.source.trace_id for each in newest] == ["b", "c", "a"]


def test_evidence_takes_no_part_in_a_search(store: Store) -> None:
    put(store, stored_tip("tip", "Read all pages.", "a"))

    assert {hit.entity.type for hit in store.search(N, "quoted phoenix span all pages")} == {"guideline"}


def test_one_more_source_puts_the_tip_and_one_piece_of_evidence(store: Store) -> None:
    put(store, stored_tip("tip", "x", *MANY))

    changes = tip_changes(store, N, stored(store).with_source(tip_source("new")), stored(store))

    assert [type(change) for change in changes] == [Put, Put]


def test_a_story_that_is_read_again_puts_the_same_evidence(store: Store) -> None:
    put(store, stored_tip("tip", "x", *MANY))
    before = {entity.id for entity in store.iterate(N, type=EVIDENCE)}

    put(store, without(store, stored(store), "t00").with_source(tip_source("t00", quote="other words")))

    assert {entity.id for entity in store.iterate(N, type=EVIDENCE)} == before
    assert stored(store).support == 12
    assert story_evidence(store, N, story("t00"))[0].source.quote == "other words"
    assert evidence_by_tip(store) == {"tip": MANY}


def test_a_source_that_goes_makes_room_for_an_older_one_among_those_shown(store: Store) -> None:
    put(store, stored_tip("tip", "x", *MANY))

    put(store, without(store, stored(store), MANY[-1]), stored(store))

    assert evidence_by_tip(store) == {"tip": MANY[:-1]}, "which checks how many are shown"


def test_the_trace_that_a_tip_names_first_backs_it(store: Store) -> None:
    put(store, stored_tip("tip", "x", "a", "b"))

    put(store, without(store, stored(store), "a"), stored(store))

    assert stored(store).metadata["source_task_id"] == "b"


def test_a_tip_that_nothing_backs_goes_with_its_evidence(store: Store) -> None:
    put(store, stored_tip("tip", "x", "a"))

    put(store, without(store, stored(store), "a"), stored(store))

    assert store.count(N) == 0


def test_sound_evidence_drives_out_what_is_not(store: Store) -> None:
    first, *more = (tip_source(trace_id, verified=False) for trace_id in MANY)
    tip = stored_tip("tip", "x", "none").without_evidence().with_source(first)
    tip = tip.with_metadata(status="quarantined", quarantine_reason=QUOTE_MISSING)
    for source in more:
        tip = tip.with_source(source)
    put(store, tip)
    assert stored(store).support_by == {"unsound": 12}

    put(store, stored(store).with_source(tip_source("sound")), stored(store))

    assert evidence_by_tip(store) == {"tip": ["sound"]}
    assert stored(store).status == "active"
    suspect = stored(store).with_source(tip_source("late", is_suspect=True))
    assert suspect == stored(store), "it adds nothing to what sound evidence says"


def test_a_late_verdict_on_evidence_that_the_tip_does_not_show_is_counted(store: Store) -> None:
    put(store, stored_tip("tip", "x", *MANY))
    found = story_evidence(store, N, story("t00"))

    tip = stored(store).with_outcome(story("t00"), found, outcome="success", judged_by="a person")
    put(store, tip, stored(store))

    assert stored(store).support_by == {"success": 1, "unknown": 11}
    assert backing(stored(store)).succeeded == 1
    assert evidence_by_tip(store) == {"tip": MANY}
    found = story_evidence(store, N, story("t00"))
    again = stored(store)
    assert again.with_outcome(story("t00"), found, outcome="success", judged_by="a person") is again


# tips of before


def test_a_tip_of_before_is_read_as_it_is(store: Store) -> None:
    old_tip(store, *MANY)

    tip = stored(store)

    assert (tip.support, len(tip.sources), backing(tip).stories) == (12, NEWEST, 12)
    assert [each.source.trace_id for each in newest_evidence(store, N, tip)] == MANY[::-1]


def test_migrating_moves_all_sources_and_a_second_time_does_nothing(store: Store) -> None:
    old_tip(store, *MANY)
    old_tip(store, "a", "b", tip_id="other")

    assert migrate_tips(store, N, actor="test") == 2

    assert evidence_by_tip(store) == {"tip": MANY, "other": ["a", "b"]}
    assert store.get(N, "tip").metadata["schema_version"] == SCHEMA_VERSION
    assert len(store.get(N, "tip").metadata["sources"]) == NEWEST  # type: ignore[arg-type]
    version = store.get_namespace(N).version
    assert migrate_tips(store, N, actor="test") == 0
    assert store.get_namespace(N).version == version


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_migrating_is_killed_between_any_two_commits_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    monkeypatch.setattr("kaizen.tips.reading._CHANGES_AT_ONCE", 5)
    old_tip(store, *MANY)
    commit, made = store.commit, []

    def killed(*args: Any, **more: Any) -> Any:
        if len(made) == commits:
            raise KeyboardInterrupt
        made.append(len(args[1]))
        return commit(*args, **more)

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(store, "commit", killed)
        migrate_tips(store, N, actor="test")
    assert max(made) <= 5
    assert stored(store).support == 12, "whether it is migrated or not"
    assert sorted(each.source.trace_id for each in newest_evidence(store, N, stored(store))) == MANY

    migrate_tips(store, N, actor="test")

    assert evidence_by_tip(store) == {"tip": MANY}


def test_what_was_half_migrated_and_then_taken_out_stays_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_tip(store, *MANY)
    commit = store.commit

    def late(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(store, "commit", commit)
        put(store, without(store, stored(store), "t03"), stored(store))
        return commit(*args, **more)

    monkeypatch.setattr(store, "commit", late)
    assert migrate_tips(store, N, actor="test") == 0, "somebody else was faster"

    assert migrate_tips(store, N, actor="test") == 0
    assert evidence_by_tip(store) == {"tip": [trace for trace in MANY if trace != "t03"]}


def test_two_pieces_of_evidence_of_one_story_are_both_moved_and_count_once(store: Store) -> None:
    sources = [tip_source("a", quote=quote).to_json() for quote in ("one", "two")]
    old_tip(store, sources=sources)

    migrate_tips(store, N, actor="test")

    assert evidence_by_tip(store) == {"tip": ["a", "a"]}
    assert stored(store).support == 1


def test_a_change_by_a_person_before_the_migration_keeps_all_evidence(store: Store) -> None:
    old_tip(store, *MANY)

    edit_tip(store, store.get(N, "tip"), content="y", fields={})

    assert evidence_by_tip(store) == {"tip": MANY}
    assert migrate_tips(store, N, actor="test") == 0


def test_evidence_that_somebody_broke_is_named_and_left_out(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.commit(N, changes_of(stored_tip("tip", "x", "a", "b")))
    (broken,) = story_evidence(store, N, story("a"))
    metadata = {**store.get(N, broken.id).metadata, "tools": 3}
    store.commit(N, [Put(id=broken.id, type=EVIDENCE, content="", metadata=metadata)])

    assert [each.source.trace_id for each in newest_evidence(store, N, stored(store))] == ["b"]
    assert f"evidence {broken.id} is not valid" in caplog.text
    store.commit(N, [Delete(id=broken.id)])
