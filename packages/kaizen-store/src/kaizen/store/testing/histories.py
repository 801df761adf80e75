"""The contract of looking back, and of restoring: commits made elsewhere go in as they are, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import pytest

from kaizen.store.errors import ConflictError, InvalidInputError, NotFoundError
from kaizen.store.model import Applied, Change, Commit, Delete, Entity
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, both, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store

COPY = "copy"
LONG_AGO = datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC)


class HistoryContract(StoreFixtures):
    def test_commits_are_read_back_exactly_as_they_were_returned(
        self, store: Store, open_store: OpenStore
    ) -> None:
        made = _some_commits(store)
        for either in both(store, open_store):
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
        for either in both(store, open_store):
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
        for either in both(store, open_store):
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
        for changes in ([put("e", "a")], [Delete(id="e")], [put("other")]):
            store.commit(NAMESPACE, changes)
        (created,), (deleted,) = (commit.changes for commit in store.history(NAMESPACE, "e"))
        assert created.before is deleted.after is None
        assert created.after == deleted.before
        assert created.after is not None
        assert created.after.content == "a"

    def test_what_never_was_has_no_history(self, store: Store) -> None:
        assert store.history(NAMESPACE, "never") == []


def _some_commits(store: Store) -> list[Commit]:
    """Creations, changes, a deletion and a second life, some of them in one run."""
    return [
        store.commit(NAMESPACE, [put("a", "a1"), put("b", "b1")], run_id="run-1"),
        store.commit(NAMESPACE, [put("a", "a2", metadata={"n": [1, 2.5]})], actor="ann"),
        store.commit(NAMESPACE, [Delete(id="a"), put("c", "c1", type="u")], run_id="run-1"),
        store.commit(NAMESPACE, [put("a", "a3"), Delete(id="b")], run_id="run-2", reason="why"),
        store.commit(NAMESPACE, [put("a", "a4")], run_id="run-1"),
    ]


class RestoreContract(StoreFixtures):
    def test_restored_commits_are_as_they_were_made(self, store: Store, open_store: OpenStore) -> None:
        made = _old_commits(store)
        store.create_namespace(COPY, created_at=LONG_AGO)
        store.restore(COPY, made[:2])
        store.restore(COPY, made[2:])
        for either in both(store, open_store):
            assert either.commits(COPY) == made
            assert either.get_namespace(COPY).created_at == LONG_AGO
            assert either.get_namespace(COPY).version == len(made)
            entities = list(either.iterate(COPY))
            assert [(e.id, e.content, e.revision) for e in entities] == [("a", "a3\0", 1), ("b", "b2", 2)]
            assert [hit.entity.id for hit in either.search(COPY, "b2")][:1] == ["b"]
        after = store.commit(COPY, [put("a", "a4")], expected={"a": 1})
        assert after.version == len(made) + 1
        assert after.at >= made[-1].at

    def test_commits_that_do_not_follow_change_nothing(self, store: Store) -> None:
        made = _old_commits(store)
        store.create_namespace(COPY)
        starts_elsewhere = [made[0], replace(made[3], version=2)]
        for wrong in (made[1:], [made[0], made[2]], [made[0], made[0]], starts_elsewhere):
            with pytest.raises(ConflictError):
                store.restore(COPY, wrong)
            assert store.get_namespace(COPY).version == 0
            assert list(store.iterate(COPY)) == []

    def test_a_commit_that_no_store_makes_is_refused(self, store: Store, open_store: OpenStore) -> None:
        first, *_ = _old_commits(store)
        store.create_namespace(COPY)
        change, other = first.changes
        assert change.after is not None
        entities: list[dict[str, Any]] = [
            *(
                {"revision": 2},
                {"id": ""},
                {"type": "no type"},
                {"content": "\ud800"},
                {"metadata": {"n": 2**64}},
            )
        ]
        for wrong in (
            replace(first, actor="\ud800"),
            *(
                replace(first, changes=changes)
                for changes in ((), (Applied(before=None, after=None),), (change, change))
            ),
            *(
                replace(first, changes=(other, replace(change, after=replace(change.after, **fields))))
                for fields in entities
            ),
        ):
            with pytest.raises(InvalidInputError, match="commit 1 cannot be restored"):
                store.restore(COPY, [wrong])
        store.restore(COPY, [first])
        with open_store() as reopened:
            assert reopened.commits(COPY) == [first]

    def test_commits_go_into_the_namespace_they_name(self, store: Store) -> None:
        made = _old_commits(store)
        store.create_namespace("other")
        with pytest.raises(InvalidInputError, match="other"):
            store.restore("other", made)
        with pytest.raises(NotFoundError):
            store.restore(COPY, made)

    def test_ids_sort_by_version_though_a_clock_was_ahead(self, store: Store, open_store: OpenStore) -> None:
        made = _old_commits(store)
        store.create_namespace(COPY)
        ahead = "f0000000-0000-7000-8000-000000000000"
        store.restore(COPY, [replace(made[0], id=ahead)])
        store.commit(COPY, [put("a", "a2")])
        with open_store() as reopened:
            reopened.commit(COPY, [put("a", "a3")])
            ids = [commit.id for commit in reopened.commits(COPY)]
        assert ids[0] == ahead
        assert ids == sorted(set(ids))

    def test_nothing_restored_is_fine(self, store: Store) -> None:
        store.restore(NAMESPACE, [])
        assert store.get_namespace(NAMESPACE).version == 0

    def test_times_are_kept_in_utc_and_must_say_their_zone(self, store: Store) -> None:
        elsewhere = LONG_AGO.astimezone(timezone(timedelta(hours=5, minutes=30)))
        created = store.create_namespace(COPY, created_at=elsewhere).created_at
        assert (created, created.utcoffset()) == (LONG_AGO, timedelta(0))
        for wrong in (datetime(2024, 1, 1), "2024-01-01"):  # noqa: DTZ001 - that is the point
            with pytest.raises(InvalidInputError, match="created_at"):
                store.create_namespace("never", created_at=cast("datetime", wrong))


def _old_commits(store: Store) -> list[Commit]:
    """As they would look in the namespace `copy`, and made long ago."""
    changes: list[list[Change]] = [
        [put("a", "a1", metadata={"n": 1.0}), put("b", "b1")],
        [put("b", "b2", type="u", metadata={"x": "\0"})],
        [Delete(id="a")],
        [put("a", "a3\0")],
    ]
    made = [
        store.commit(NAMESPACE, change, actor="ann", reason="why", run_id="r" if number % 2 else None)
        for number, change in enumerate(changes)
    ]
    return [_moved(commit, LONG_AGO - made[0].at) for commit in made]


def _moved(commit: Commit, by: timedelta) -> Commit:
    def moved(entity: Entity | None) -> Entity | None:
        if entity is None:
            return None
        created_at, updated_at = entity.created_at + by, entity.updated_at + by
        return replace(entity, namespace_id=COPY, created_at=created_at, updated_at=updated_at)

    changes = tuple(Applied(before=moved(each.before), after=moved(each.after)) for each in commit.changes)
    return replace(commit, namespace_id=COPY, at=commit.at + by, changes=changes)
