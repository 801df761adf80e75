"""The contract of looking back: `history` and `commits`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import InvalidInputError
from kaizen.store.model import Applied, Commit, Delete, Put
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures

if TYPE_CHECKING:
    from kaizen.store.contract import Store


class HistoryContract(StoreFixtures):
    def test_commits_are_read_back_exactly_as_they_were_returned(
        self, store: Store, open_store: OpenStore
    ) -> None:
        made = _some_commits(store)
        with open_store() as reopened:
            for either in (store, reopened):
                assert either.commits(NAMESPACE) == made

    def test_commits_are_paged_by_version(self, store: Store) -> None:
        made = _some_commits(store)
        read: list[Commit] = []
        while page := store.commits(NAMESPACE, after=read[-1].version if read else 0, limit=2):
            assert len(page) <= 2
            read += page
        assert read == made
        assert store.commits(NAMESPACE, after=len(made)) == []
        assert store.commits(NAMESPACE, after=10**9) == []

    def test_the_commits_of_a_run_are_found(self, store: Store, open_store: OpenStore) -> None:
        made = _some_commits(store)
        of_run = [commit for commit in made if commit.run_id == "run-1"]
        assert len(of_run) == 3
        with open_store() as reopened:
            for either in (store, reopened):
                assert either.commits(NAMESPACE, run_id="run-1") == of_run
                assert either.commits(NAMESPACE, run_id="run-1", limit=1) == of_run[:1]
                assert either.commits(NAMESPACE, run_id="run-1", after=of_run[0].version) == of_run[1:]
                assert either.commits(NAMESPACE, run_id="run-none") == []

    @pytest.mark.parametrize("after", [-1, True, "1", 0.5])
    def test_commits_come_after_a_version(self, store: Store, after: object) -> None:
        with pytest.raises(InvalidInputError, match="after"):
            store.commits(NAMESPACE, after=cast("int", after))

    def test_the_history_of_an_entity_is_what_happened_to_it_and_nothing_else(
        self, store: Store, open_store: OpenStore
    ) -> None:
        made = _some_commits(store)
        with open_store() as reopened:
            for either in (store, reopened):
                for entity_id in ("a", "b", "c"):
                    history = either.history(NAMESPACE, entity_id)
                    touching = [c for c in made if entity_id in {change.entity_id for change in c.changes}]
                    assert [commit.id for commit in history] == [commit.id for commit in touching]
                    assert [commit.changes for commit in history] == [
                        tuple(change for change in commit.changes if change.entity_id == entity_id)
                        for commit in touching
                    ]

    def test_a_history_hangs_together(self, store: Store) -> None:
        _some_commits(store)
        history = [commit.changes[0] for commit in store.history(NAMESPACE, "a")]
        assert history[0].before is None
        assert [change.before for change in history[1:]] == [change.after for change in history[:-1]]

    def test_a_deleted_entity_keeps_its_history(self, store: Store) -> None:
        store.commit(NAMESPACE, [Put(id="e", type="t", content="a")])
        store.commit(NAMESPACE, [Delete(id="e")])
        store.commit(NAMESPACE, [Put(id="other", type="t", content="")])
        contents = [
            (c.before and c.before.content, c.after and c.after.content) for c in _changes(store, "e")
        ]
        assert contents == [(None, "a"), ("a", None)]

    def test_what_never_was_has_no_history(self, store: Store) -> None:
        assert store.history(NAMESPACE, "never") == []


def _changes(store: Store, entity_id: str) -> list[Applied]:
    return [change for commit in store.history(NAMESPACE, entity_id) for change in commit.changes]


def _some_commits(store: Store) -> list[Commit]:
    """Creations, changes, a deletion and a second life, some of them in one run."""
    return [
        store.commit(
            NAMESPACE,
            [Put(id="a", type="t", content="a1"), Put(id="b", type="t", content="b1")],
            run_id="run-1",
        ),
        store.commit(NAMESPACE, [Put(id="a", type="t", content="a2", metadata={"n": [1, 2.5]})], actor="ann"),
        store.commit(NAMESPACE, [Delete(id="a"), Put(id="c", type="u", content="c1")], run_id="run-1"),
        store.commit(
            NAMESPACE, [Put(id="a", type="t", content="a3"), Delete(id="b")], run_id="run-2", reason="why"
        ),
        store.commit(NAMESPACE, [Put(id="a", type="t", content="a4")], run_id="run-1"),
    ]
