"""`kaizen entities history` and `revert`: who did what, and undoing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaizen.store import Commit, Delete, Put, Store, StoreSettings, open_store
from tests.support.command import kaizen

N = "kaizen"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    with open_store(StoreSettings(data_dir=tmp_path / "data")) as store:
        store.create_namespace(N)
        yield store


def put(store: Store, entity_id: str, content: str, run_id: str | None = None, **metadata: object) -> Commit:
    change = Put(id=entity_id, type="guideline", content=content, metadata=metadata)  # type: ignore[arg-type]
    return store.commit(N, [change], actor="ann", reason=f"for {content}", run_id=run_id)


def versions(*arguments: object) -> tuple[list[int], int | None]:
    value = kaizen("entities", "history", N, *arguments, "--json").json
    return [commit["version"] for commit in value["commits"]], value["cursor"]


# History


def test_a_commit_is_shown_with_who_when_why_and_what(store: Store) -> None:
    commit = put(store, "a", "one", run_id="run-7")
    first, second, third = kaizen("entities", "history", N).stdout.splitlines()
    assert first.startswith("1  20")
    assert first.endswith("  ann: for one")
    assert second == f"    commit {commit.id}, run run-7"
    assert third == "    1 created: a"


def test_the_newest_commits_come_last_and_older_ones_are_a_page_away(store: Store) -> None:
    for number in range(1, 8):
        put(store, "a", f"content {number}")
    assert versions("--limit", 3) == ([5, 6, 7], None)
    assert versions("--limit", 3, "--after", 0) == ([1, 2, 3], 3)
    assert versions("--limit", 3, "--after", 3) == ([4, 5, 6], 6)
    assert versions("--limit", 3, "--after", 6) == ([7], None)
    assert versions("a", "--limit", 3) == ([5, 6, 7], None)
    assert versions("a", "--limit", 3, "--after", 3) == ([4, 5, 6], 6)
    assert "--after 0" in kaizen("entities", "history", N, "--limit", 3).stderr
    assert "--after 3" in kaizen("entities", "history", N, "a", "--limit", 3, "--after", 0).stderr
    assert kaizen("entities", "history", N).stderr == ""


def test_a_run_is_followed_through_the_commits_of_others(store: Store) -> None:
    for number in range(6):
        put(store, f"e{number}", "x", run_id="mine" if number % 2 else None)
    assert versions("--run", "mine", "--limit", 2) == ([2, 4], 4)
    assert versions("--run", "mine", "--limit", 2, "--after", 4) == ([6], None)
    assert versions("e1", "--run", "other") == ([], None)
    assert kaizen("entities", "history", N, "--run", "other").stderr == "No commits here.\n"


def test_the_history_of_an_entity_tells_what_changed(store: Store) -> None:
    put(store, "a", "Ask first.", status="active", support=1)
    put(store, "other", "x")
    put(store, "a", "Ask twice.", status="active", support=2)
    store.commit(N, [Delete(id="a"), Delete(id="other")])
    lines = [line.strip() for line in kaizen("entities", "history", N, "a").stdout.splitlines()]
    assert 'content: "Ask first." -> "Ask twice."' in lines
    assert "metadata.support: 1 -> 2" in lines
    assert [line for line in lines if line.endswith(" a")] == ["created a", "changed a", "deleted a"]
    assert not [line for line in lines if "status" in line or "other" in line]
    commits = kaizen("entities", "history", N, "a", "--json").json["commits"]
    (change,) = commits[1]["changes"]
    assert (change["before"]["content"], change["after"]["content"]) == ("Ask first.", "Ask twice.")
    assert (commits[0]["changes"][0]["before"], commits[2]["changes"][0]["after"]) == (None, None)


def test_long_texts_are_shown_where_they_begin_to_differ(store: Store) -> None:
    put(store, "a", "x" * 500 + " before " + "y" * 500)
    put(store, "a", "x" * 500 + " after " + "y" * 500)
    (line,) = [line for line in kaizen("entities", "history", N, "a").stdout.splitlines() if "->" in line]
    assert "before" in line
    assert "after" in line
    assert len(line) < 200


def test_an_entity_that_never_was_is_an_error(store: Store) -> None:
    assert "no commit in namespace 'kaizen' ever touched" in kaizen("entities", "history", N, "x").error


# Revert


def test_a_run_is_undone_and_the_undoing_too(store: Store) -> None:
    put(store, "a", "before")
    put(store, "a", "bad", run_id="run-1")
    put(store, "b", "bad too", run_id="run-1")
    said = kaizen("entities", "revert", N, "--run", "run-1", "--reason", "it was wrong")
    assert [line.strip() for line in said.stdout.splitlines()[1:]] == [
        "changed a",
        'content: "bad" -> "before"',
        "deleted b",
        'content: "bad too"',
    ]
    assert [entity.content for entity in store.iterate(N)] == ["before"]
    commit = store.commits(N)[-1]
    assert (commit.actor, commit.reason) == ("kaizen entities revert", "it was wrong")
    assert commit.id in said.stdout.splitlines()[0]
    done = kaizen("entities", "revert", N, "--commit", commit.id, "--json").json
    assert done["changes"] == [
        {"entity_id": "a", "change": "changed"},
        {"entity_id": "b", "change": "created"},
    ]
    assert [entity.content for entity in store.iterate(N)] == ["bad", "bad too"]


def test_what_others_changed_after_a_run_is_kept_and_named(store: Store) -> None:
    put(store, "a", "of the run", run_id="run-1")
    put(store, "b", "of the run", run_id="run-1")
    put(store, "b", "since")
    said = kaizen("entities", "revert", N, "--run", "run-1")
    assert "kept b, which was changed since" in said.stdout
    assert {entity.id: entity.content for entity in store.iterate(N)} == {"b": "since"}


def test_several_commits_are_undone_at_once(store: Store) -> None:
    options = [word for name in "abc" for word in ("--commit", put(store, name, name).id)]
    assert kaizen("entities", "revert", N, *options[:4]).exit_code == 0
    assert [entity.id for entity in store.iterate(N)] == ["c"]


def test_a_dry_run_says_the_same_and_changes_nothing(store: Store) -> None:
    commit = put(store, "a", "x")
    options = ("--commit", commit.id)
    planned = kaizen("entities", "revert", N, *options, "--dry-run")
    value = kaizen("entities", "revert", N, *options, "--dry-run", "--json").json
    assert (value["dry_run"], value["commit_id"], value["version"]) == (True, None, None)
    assert store.get_namespace(N).version == 1
    done = kaizen("entities", "revert", N, *options)
    assert planned.stdout.splitlines()[1:] == done.stdout.splitlines()[1:]
    assert planned.stdout.startswith("Would undo")


def test_what_others_did_since_is_kept_and_named_unless_forced(store: Store) -> None:
    commit = put(store, "a", "first")
    put(store, "a", "somebody else's")
    for options in ([], ["--dry-run"]):
        assert (
            "other commits changed 'a'"
            in kaizen("entities", "revert", N, "--commit", commit.id, *options).error
        )
    assert store.get(N, "a").content == "somebody else's"
    forced = kaizen("entities", "revert", N, "--commit", commit.id, "--force")
    assert "gives up what other commits did" in forced.stdout
    assert store.count(N) == 0


@pytest.mark.parametrize("options", [[], ["--commit", "x", "--run", "y"]])
def test_a_revert_names_either_commits_or_a_run(options: list[str]) -> None:
    ended = kaizen("entities", "revert", N, *options)
    assert ended.exit_code == 2
    assert "--commit" in ended.error
    assert "--run" in ended.error


@pytest.mark.parametrize("options", [["--commit", "nope"], ["--run", "nope"]])
def test_a_commit_or_run_that_there_is_not_is_named(store: Store, options: list[str]) -> None:
    assert "'nope'" in kaizen("entities", "revert", N, *options).error
