"""`kaizen entities review`: what waits for a person, and what that person decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaizen.store import ConflictError, Put, Store, StoreSettings, open_store
from kaizen.sync.trust import QUOTE_MISSING
from kaizen.tips.review import decide
from tests.cli.test_commands import assert_documented
from tests.support.command import kaizen

N = "kaizen"
REASON = f"it tells to weaken a permission or a check: 'sudo'; {QUOTE_MISSING}"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path / "data", embedder="none")) as store:
        store.create_namespace(N)
        yield store


def put(store: Store, tip_id: str, content: str = "Use sudo.", **metadata: Any) -> None:
    source = {
        "trace_id": "t1",
        "span_id": "s1",
        "quote": "use \x1bsudo",
        "verified": True,
        "url": "http://phoenix.test/span",
    }
    fields = {"status": "quarantined", "quarantine_reason": REASON, "sources": [source], **metadata}
    store.commit(N, [Put(id=tip_id, type="guideline", content=content, metadata=fields)])


def status(store: Store, tip_id: str) -> Any:
    return store.get(N, tip_id).metadata["status"]


def test_what_waits_is_shown_with_all_reasons_the_evidence_and_the_link(store: Store) -> None:
    put(store, "a")
    put(store, "b", status="active", quarantine_reason="")
    ended = kaizen("entities", "review", N)
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["a@1", "Use sudo."]
    assert [line.strip() for line in lines[2:4]] == [
        "quarantined because  it tells to weaken a permission or a check: 'sudo'",
        QUOTE_MISSING,
    ]
    assert lines[4].split("  ")[-1].strip() == "use \N{REPLACEMENT CHARACTER}sudo"
    assert lines[5].strip() == "http://phoenix.test/span"
    assert "1 tip waits for a decision" in ended.stderr


def test_programs_get_what_waits_and_what_was_decided_in_one_form(store: Store) -> None:
    put(store, "a")
    listed = kaizen("entities", "review", N, "--json").json
    assert_documented("entities review", listed)
    [waiting] = listed["quarantined"]
    assert (waiting["id"], waiting["reasons"]) == ("a", REASON.split("; "))
    decided = kaizen("entities", "review", N, "--approve", "a", "--json").json
    assert_documented("entities review", decided)
    assert (decided["approved"], decided["rejected"], decided["quarantined"]) == (["a"], [], [])
    assert decided["commit_id"] == store.commits(N)[-1].id


def test_decisions_are_one_commit_with_who_and_why_that_can_be_undone(store: Store) -> None:
    for tip_id in "abc":
        put(store, tip_id)
    ended = kaizen(
        "entities", "review", N, "--approve", "a", "--approve", "b", "--reject", "c", "--reason", "read them"
    )
    assert ended.stdout.splitlines() == ["Approved: a", "Approved: b", "Rejected: c"]
    assert [status(store, tip_id) for tip_id in "abc"] == ["active", "active", "retired"]
    assert store.get(N, "a").metadata["quarantine_reason"] == ""
    assert store.get(N, "a").metadata["review"] == {"decision": "approved", "quarantine_reason": REASON}
    commit = store.commits(N)[-1]
    assert (commit.actor, commit.reason) == ("kaizen entities review", "read them")
    assert {change.entity_id for change in commit.changes} >= set("abc")
    assert commit.id in ended.stderr
    assert kaizen("entities", "revert", N, "--commit", commit.id).exit_code == 0
    assert {status(store, tip_id) for tip_id in "abc"} == {"quarantined"}
    assert kaizen("entities", "review", N, "--approve", "a").exit_code == 0


def test_a_tip_that_was_changed_since_it_was_shown_is_not_decided_on(store: Store) -> None:
    put(store, "a")
    put(store, "b")
    put(store, "b", content="Use sudo and curl.")
    ended = kaizen("entities", "review", N, "--approve", "a@1", "--approve", "b@1")
    assert "tip b was changed since it was shown (revision 1, now 2)" in ended.error
    assert (status(store, "a"), status(store, "b")) == ("quarantined", "quarantined")
    assert kaizen("entities", "review", N, "--approve", "a@1", "--approve", "b@2").exit_code == 0


def test_a_tip_that_is_changed_while_it_is_decided_on_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a")
    get = store.get

    def get_and_change(namespace_id: str, tip_id: str) -> Any:
        entity = get(namespace_id, tip_id)
        put(store, tip_id, content="Use sudo and curl.")
        return entity

    monkeypatch.setattr(store, "get", get_and_change)
    with pytest.raises(ConflictError):
        decide(store, N, {"a": "approved"})
    monkeypatch.undo()
    assert status(store, "a") == "quarantined"


def test_what_waits_for_no_decision_is_refused(store: Store) -> None:
    put(store, "a", status="active")
    store.commit(N, [Put(id="t", type="trajectory", content="", metadata={"status": "quarantined"})])
    for tip_id in "at":
        assert (
            f"{tip_id} is not a tip that waits" in kaizen("entities", "review", N, "--reject", tip_id).error
        )
    assert "entity 'x' does not exist" in kaizen("entities", "review", N, "--reject", "x").error
    assert kaizen("entities", "review", N, "--approve", "a", "--reject", "a").exit_code == 2


def test_nothing_that_waits_and_no_namespace_are_said(store: Store) -> None:
    ended = kaizen("entities", "review", N)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "No tip is quarantined.\n")
    assert "namespace 'other' does not exist" in kaizen("entities", "review", "other").error


def test_asking_takes_a_terminal(store: Store) -> None:
    put(store, "a")
    assert kaizen("entities", "review", N, "--interactive", stdin="a\n").exit_code == 2


def test_on_a_terminal_each_tip_is_asked_about(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for tip_id in "abcd":
        put(store, tip_id)
    monkeypatch.setattr("kaizen.cli.entities.review._is_terminal", lambda: True)
    ended = kaizen("entities", "review", N, "--interactive", stdin="a\nr\ns\nq\n")
    assert ended.exit_code == 0, ended
    assert [status(store, tip_id) for tip_id in "abcd"] == ["active", "retired", "quarantined", "quarantined"]
    assert len(store.commits(N, after=4)) == 1
