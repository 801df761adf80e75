"""Commits are undone by one more commit, and nobody else's work with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kaizen.store import (
    ConflictError,
    Delete,
    InvalidInputError,
    NotFoundError,
    Put,
    Store,
    apply_revert,
    plan_revert,
    revert,
)

N = "n"


@pytest.fixture(params=["filesystem", "sqlite"])
def store(request: pytest.FixtureRequest, make_store: Callable[[str], Store]) -> Store:
    store = make_store(request.param)
    store.create_namespace(N)
    return store


def put(store: Store, run_id: str | None = None, **contents: str) -> str:
    changes = [Put(id=entity_id, type="t", content=content) for entity_id, content in contents.items()]
    return store.commit(N, changes, run_id=run_id).id


def contents(store: Store) -> dict[str, str]:
    return {entity.id: entity.content for entity in store.iterate(N)}


def test_a_run_is_undone_as_a_whole(store: Store) -> None:
    put(store, a="a1", b="b1", kept="kept")
    put(store, "run", a="a2", new="new")
    put(store, other="other")
    put(store, "run", a="a3")
    store.commit(N, [Delete(id="b")], run_id="run")
    commit = revert(store, N, run_id="run", actor="ann")
    assert contents(store) == {"a": "a1", "b": "b1", "kept": "kept", "other": "other"}
    assert {change.entity_id for change in commit.changes} == {"a", "b", "new"}
    assert (commit.actor, commit.reason) == ("ann", "revert of run run")
    assert store.history(N, "a")[-1].id == commit.id


def test_a_revert_can_be_reverted(store: Store) -> None:
    put(store, a="a1")
    undone = revert(store, N, commit_ids=[put(store, a="a2", b="b1")])
    assert contents(store) == {"a": "a1"}
    revert(store, N, commit_ids=[undone.id])
    assert contents(store) == {"a": "a2", "b": "b1"}


def test_what_others_changed_afterwards_is_not_undone_unless_forced(store: Store) -> None:
    first = put(store, a="a1", b="b1")
    put(store, a="theirs")
    with pytest.raises(ConflictError, match="'a'") as caught:
        revert(store, N, commit_ids=[first])
    assert caught.value.entity_ids == ("a",)
    assert contents(store) == {"a": "theirs", "b": "b1"}
    revert(store, N, commit_ids=[first], force=True)
    assert contents(store) == {}


def test_a_change_between_two_that_are_undone_is_seen(store: Store) -> None:
    put(store, "run", a="a1")
    put(store, a="theirs")
    put(store, "run", a="a2")
    with pytest.raises(ConflictError):
        revert(store, N, run_id="run")


def test_what_is_undone_already_is_said(store: Store) -> None:
    commit_id = put(store, a="a1")
    store.commit(N, [Delete(id="a")])
    with pytest.raises(InvalidInputError, match="nothing to revert"):
        revert(store, N, commit_ids=[commit_id], force=True)


def test_what_there_is_not_cannot_be_undone(store: Store) -> None:
    put(store, a="a1")
    with pytest.raises(NotFoundError, match="missing"):
        revert(store, N, commit_ids=["missing"])
    with pytest.raises(NotFoundError, match="missing"):
        revert(store, N, run_id="missing")
    for wrong in ({}, {"commit_ids": ["x"], "run_id": "y"}):
        with pytest.raises(InvalidInputError, match="either"):
            revert(store, N, **wrong)  # type: ignore[arg-type]


def test_a_change_of_others_between_two_commits_of_a_run_is_not_overlooked(store: Store) -> None:
    put(store, "run", a="a1")
    put(store, a="theirs")
    put(store, "run", a="a2")
    store.commit(N, [Delete(id="a")], run_id="run")
    with pytest.raises(ConflictError, match="'a'"):
        revert(store, N, run_id="run")


def test_a_run_of_many_entities_is_undone_in_a_few_reads(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "run", **{f"e{number}": "x" for number in range(50)})
    monkeypatch.setattr(type(store), "history", lambda *_: pytest.fail("one read for each entity"))
    assert len(revert(store, N, run_id="run").changes) == 50


def test_a_plan_says_what_a_revert_would_do_and_changes_nothing(store: Store) -> None:
    put(store, a="a1", b="b1")
    undone = put(store, a="a2", new="new")
    put(store, a="theirs")
    with pytest.raises(ConflictError, match="'a'"):
        plan_revert(store, N, commit_ids=[undone])
    version = store.get_namespace(N).version
    plan = plan_revert(store, N, commit_ids=[undone], force=True)
    assert plan.given_up == ("a",)
    planned = [
        (each.before and each.before.content, each.after and each.after.content) for each in plan.changes
    ]
    assert planned == [("theirs", "a1"), ("new", None)]
    assert store.get_namespace(N).version == version
    apply_revert(store, N, plan)
    assert contents(store) == {"a": "a1", "b": "b1"}


def test_a_plan_is_not_carried_out_on_what_changed_since(store: Store) -> None:
    plan = plan_revert(store, N, commit_ids=[put(store, a="a1")])
    put(store, a="theirs")
    with pytest.raises(ConflictError):
        apply_revert(store, N, plan)
    assert contents(store) == {"a": "theirs"}


def test_what_others_created_anew_while_the_clock_stood_still_is_not_undone(store: Store) -> None:
    """Times never go back: while the clock is behind what is stored, all commits have the same."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    store.delete_namespace(N)
    store.create_namespace(N, created_at=ahead)
    put(store, "run", a="of the run")
    store.commit(N, [Delete(id="a")])
    put(store, a="of others")
    with pytest.raises(ConflictError, match="'a'"):
        revert(store, N, run_id="run")
    assert contents(store) == {"a": "of others"}


def test_a_run_may_have_any_id(store: Store) -> None:
    put(store, "", a="a1")
    revert(store, N, run_id="")
    assert contents(store) == {}


def test_a_run_is_undone_once_the_one_after_it_was_undone(store: Store) -> None:
    put(store, a="a0")
    put(store, "first", a="a1", new="n1")
    put(store, "second", a="a2", new="n2")
    with pytest.raises(ConflictError, match="'a', 'new'"):
        revert(store, N, run_id="first")
    revert(store, N, run_id="second")
    assert plan_revert(store, N, run_id="first").given_up == ()
    revert(store, N, run_id="first")
    assert contents(store) == {"a": "a0"}


def test_what_was_changed_and_undone_between_two_commits_of_a_run_is_no_conflict(store: Store) -> None:
    put(store, a="a0")
    put(store, "run", a="a1")
    revert(store, N, commit_ids=[put(store, a="other")])
    put(store, "run", a="a2")
    revert(store, N, run_id="run")
    assert contents(store) == {"a": "a0"}
