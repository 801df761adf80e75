"""Evidence as syncs find it: counted exactly once, whatever runs beside, breaks off or is taken back."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Scenarios
from kaizen.store import Delete, Put, UnavailableError, revert
from kaizen.sync import Consolidation, ModelSettings, undo_run
from kaizen.sync.state.records import record_id
from kaizen.tips.evidence import EVIDENCE
from kaizen.tips.tip import NEWEST, StoredTip
from tests.support.listed import ListedSource, one_call
from tests.support.stored_tips import evidence_by_tip
from tests.support.syncing import MODEL, make_sync, open_data_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.store import Store
    from kaizen.sync import Report
    from kaizen.sync.model import Trace

N = "kaizen"
MANY = [f"t{number:02}" for number in range(NEWEST + 3)]


@pytest.fixture
def store(tmp_path: Path, backend: str, scripted: ModelServer) -> Iterator[Store]:
    with open_data_dir(tmp_path, backend) as store:
        yield store


def lesson(trace_id: str, word: str = "alpha", at: int = 0) -> Trace:
    told = [{"role": "user", "content": f"What is LESSON-{word}, asks {trace_id}?"}]
    return one_call(trace_id, at, told, f"It is {word}.")


def sync(store: Store, *traces: Trace, **settings: Any) -> Report:
    report = make_sync(ListedSource(traces), store, full=True, **settings).run()  # type: ignore[arg-type]
    assert not report.failures
    return report


def evidence(store: Store) -> dict[str, list[str]]:
    """The traces behind each active tip, by its content."""
    behind = evidence_by_tip(store)
    found = store.iterate(N, type="guideline", where={"status": "active"})
    return {entity.content: behind[entity.id] for entity in found}


def stored(store: Store) -> StoredTip:
    (entity,) = store.iterate(N, type="guideline")
    return StoredTip.of(entity)


def test_two_syncs_that_back_one_tip_at_once_count_every_story_once(
    tmp_path: Path, backend: str, scripted: ModelServer
) -> None:
    sides = MANY[::2], MANY[1::2]
    with open_data_dir(tmp_path, backend) as store:
        sync(store, lesson("first"))

    def learn(side: list[str]) -> None:
        with open_data_dir(tmp_path, backend) as store:
            make_sync(ListedSource([lesson(trace) for trace in side]), store).run()  # type: ignore[arg-type]

    threads = [threading.Thread(target=learn, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    with open_data_dir(tmp_path, backend) as store:
        assert evidence(store) == {"Remember alpha.": ["first", *MANY]}


def test_a_sync_that_breaks_off_at_any_commit_and_runs_again_loses_and_doubles_nothing(
    store: Store, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = [lesson(trace, "alpha" if n % 3 else "beta", n) for n, trace in enumerate(MANY)]
    sync(store, *traces)
    expected = evidence(store)
    for commits in count():
        with open_data_dir(tmp_path / str(commits), backend) as other:
            with monkeypatch.context() as patched:
                patched.setattr(other, "commit", breaking_off(other, after=commits))
                is_broken = broke_off(other, traces)
            forget_claims(other)
            sync(other, *traces)
            assert evidence(other) == expected
        if not is_broken:
            break
    assert commits > len(MANY)


def breaking_off(store: Store, *, after: int) -> Callable[..., Any]:
    """A `commit` that fails once so many were made."""
    commit, made = store.commit, count()

    def breaking(*args: Any, **more: Any) -> Any:
        if next(made) >= after:
            raise UnavailableError("gone")
        return commit(*args, **more)

    return breaking


def forget_claims(store: Store) -> None:
    """What the end of a process does, which this one does not come to."""
    for entity in store.iterate(N, type="claim"):
        store.commit(N, [Delete(id=entity.id)])


def broke_off(store: Store, traces: list[Trace]) -> bool:
    try:
        sync(store, *traces)
    except UnavailableError:
        return True
    return False


def test_a_trace_that_grew_takes_its_old_evidence_with_it(store: Store) -> None:
    traces = [lesson(trace, at=n) for n, trace in enumerate(MANY)]
    sync(store, *traces)
    before = {entity.id for entity in store.iterate(N, type=EVIDENCE)}

    sync(store, lesson(MANY[0], "beta", at=50), *traces[1:])

    assert evidence(store) == {"Remember alpha.": MANY[1:], "Remember beta.": MANY[:1]}
    assert len({entity.id for entity in store.iterate(N, type=EVIDENCE)} - before) == 1


def test_a_trace_that_grew_and_teaches_the_same_counts_once(store: Store) -> None:
    traces = [lesson(trace, at=n) for n, trace in enumerate(MANY)]
    sync(store, *traces)
    before = {entity.id for entity in store.iterate(N, type=EVIDENCE)}

    sync(store, lesson(MANY[0], at=50), *traces[1:])

    assert evidence(store) == {"Remember alpha.": MANY}
    assert {entity.id for entity in store.iterate(N, type=EVIDENCE)} == before


def test_a_trace_whose_record_somebody_deleted_counts_once_when_it_is_read_again(store: Store) -> None:
    traces = [lesson(trace, at=n) for n, trace in enumerate(MANY)]
    sync(store, *traces)
    store.commit(N, [Delete(id=record_id("listed", "stories", MANY[0]))])

    sync(store, *traces)

    assert evidence(store) == {"Remember alpha.": MANY}


@pytest.mark.parametrize("number", [0, 1, len(MANY) - 1])
def test_undoing_the_run_that_added_one_piece_of_evidence_takes_out_just_that(
    store: Store, number: int
) -> None:
    runs = [
        make_sync(ListedSource([lesson(trace, at=n)]), store).run()  # type: ignore[arg-type]
        for n, trace in enumerate(MANY)
    ]

    undo_run(store, N, runs[number].run_id)

    rest = [trace for trace in MANY if trace != MANY[number]]
    assert evidence(store) == {"Remember alpha.": rest}
    assert stored(store).metadata["source_task_id"] in rest
    sync(store, *(lesson(trace, at=n) for n, trace in enumerate(MANY)))
    assert evidence(store) == {"Remember alpha.": MANY}


def test_runs_are_undone_one_after_the_other_until_nothing_is_left(store: Store) -> None:
    runs = [
        make_sync(ListedSource([lesson(trace, at=n)]), store).run()  # type: ignore[arg-type]
        for n, trace in enumerate(MANY)
    ]
    left = list(MANY)
    for number in (2, 0, 7, 5, 1, 3, 6):
        undo_run(store, N, runs[number].run_id)
        left.remove(MANY[number])
        assert evidence(store) == {"Remember alpha.": left}
    undo_run(store, N, runs[4].run_id)
    assert evidence(store) == {}
    assert store.count(N, type=EVIDENCE) == 0


def test_undoing_a_run_that_read_a_trace_again_opens_the_trace(store: Store) -> None:
    traces = [lesson(trace, at=n) for n, trace in enumerate(MANY)]
    sync(store, *traces)
    again = sync(store, lesson(MANY[0], "beta", at=50), *traces[1:])

    undone = undo_run(store, N, again.run_id)

    assert undone.trace_ids == (MANY[0],)
    assert evidence(store) == {"Remember alpha.": MANY[1:]}
    sync(store, *traces)
    assert evidence(store) == {"Remember alpha.": MANY}


@pytest.fixture
def merged(store: Store, scripted: ModelServer) -> str:
    """The id of the commit that merged two tips, which one story backs both."""
    traces = [lesson(trace, at=n) for n, trace in enumerate(MANY)]
    sync(store, *traces, lesson("x", "alpha-beta", 20), lesson("y", "alpha-beta", 21))
    group = {"members": [1, 2], "content": "Remember alpha and beta.", "trigger": ""}
    scripted.scenarios += Scenarios.from_json({"groups": [{"pattern": "TIPS:", "answer": group}]})
    models = ModelSettings(reconcile_model=MODEL, timeout_s=10, attempts=1)
    done = Consolidation(store, N, models).apply()
    assert done.commit_id
    assert evidence(store) == {"Remember alpha and beta.": [*MANY, "x", "y"]}
    return done.commit_id


APART = {"Remember alpha.": MANY, "Remember alpha-beta.": ["x", "y"]}


def test_a_merge_writes_no_evidence_and_is_taken_back_whole(store: Store, merged: str) -> None:
    (commit,) = (commit for commit in store.commits(N, limit=1_000) if commit.id == merged)
    assert {change.after.type for change in commit.changes if change.after} == {"guideline"}

    revert(store, N, commit_ids=[merged])

    assert evidence(store) == APART


def test_a_merge_is_undone_although_the_tip_gained_evidence_since(store: Store, merged: str) -> None:
    (commit,) = (commit for commit in store.commits(N, limit=1_000) if commit.id == merged)
    assert commit.run_id
    make_sync(ListedSource([lesson("z", at=30)]), store).run()  # type: ignore[arg-type]
    assert evidence(store) == {"Remember alpha and beta.": [*MANY, "x", "y", "z"]}

    undo_run(store, N, commit.run_id)

    assert evidence(store) == {"Remember alpha and beta.": [*MANY, "z"], "Remember alpha-beta.": ["x", "y"]}


def test_a_story_behind_two_tips_counts_once_in_what_they_are_merged_into(
    store: Store, scripted: ModelServer
) -> None:
    both = one_call(
        "both", 0, [{"role": "user", "content": "What are LESSON-alpha and LESSON-alpha-beta?"}], "-"
    )
    sync(store, both, lesson("a", at=1))
    assert sorted(evidence(store).values()) == [["a", "both"], ["both"]]
    group = {"members": [1, 2], "content": "Remember alpha and beta.", "trigger": ""}
    scripted.scenarios += Scenarios.from_json({"groups": [{"pattern": "TIPS:", "answer": group}]})
    models = ModelSettings(reconcile_model=MODEL, timeout_s=10, attempts=1)
    assert Consolidation(store, N, models).apply().commit_id

    assert evidence(store) == {"Remember alpha and beta.": ["a", "both", "both"]}
    (tip,) = (StoredTip.of(e) for e in store.iterate(N, type="guideline", where={"status": "active"}))
    assert tip.support == 2

    sync(store, lesson("both", "gamma", 40), lesson("a", at=1))

    assert evidence(store) == {"Remember alpha and beta.": ["a"], "Remember gamma.": ["both"]}


def test_a_sync_reads_no_more_evidence_than_its_stories_gave(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(store, *(lesson(trace) for trace in MANY))
    tip = stored(store)
    (found,) = (e for e in store.iterate(N, type=EVIDENCE) if e.metadata["story_id"] == MANY[0])
    others = [
        Put(
            id=f"evidence:{number}",
            type=EVIDENCE,
            content="",
            metadata={**found.metadata, "trace_id": f"o{number}", "story_id": f"o{number}"},
        )
        for number in range(300)
    ]
    store.commit(N, [*others, *tip.with_metadata(support=308, support_by={"unknown": 308}).to_changes()])
    read: list[str] = []
    list_, get_many = store.list, store.get_many

    def listing(*args: Any, **more: Any) -> Any:
        page = list_(*args, **more)
        read.extend(entity.id for entity in page.entities if entity.type == EVIDENCE)
        return page

    def getting(*args: Any, **more: Any) -> Any:
        entities = get_many(*args, **more)
        read.extend(entity.id for entity in entities.values() if entity.type == EVIDENCE)
        return entities

    monkeypatch.setattr(store, "list", listing)
    monkeypatch.setattr(store, "get_many", getting)
    sync(store, lesson(MANY[0], at=70), lesson("new", at=71))

    assert set(read) == {found.id}
    monkeypatch.undo()
    assert stored(store).support == 309
