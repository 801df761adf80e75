"""The contract of `commit`: all or nothing, on what was expected, and told in full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import ConflictError, InvalidInputError, NotFoundError
from kaizen.store.model import Change, Delete, Expected
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, both, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store


class CommitContract(StoreFixtures):
    def test_a_commit_tells_everything_about_itself(self, store: Store) -> None:
        commit = store.commit(NAMESPACE, [put(content="a")], actor="ann", reason="why", run_id="run-1")
        assert (commit.namespace_id, commit.version) == (NAMESPACE, 1)
        assert (commit.actor, commit.reason, commit.run_id) == ("ann", "why", "run-1")
        assert commit.at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - commit.at) < timedelta(minutes=5)
        assert (len(commit.id), commit.id[14]) == (36, "7")

    def test_a_commit_without_particulars_has_none(self, store: Store) -> None:
        commit = store.commit(NAMESPACE, [put(content="a")])
        assert (commit.actor, commit.reason, commit.run_id) == ("", "", None)

    def test_new_ids_sort_in_the_order_of_creation(self, store: Store) -> None:
        created = [
            applied.entity_id
            for _ in range(5)
            for applied in store.commit(NAMESPACE, [put() for _ in range(20)]).changes
        ]
        assert [entity.id for entity in store.iterate(NAMESPACE)] == created == sorted(set(created))

    def test_commit_ids_sort_by_time_and_times_never_go_back(self, store: Store) -> None:
        commits = [store.commit(NAMESPACE, [put()]) for _ in range(20)]
        assert [commit.id for commit in commits] == sorted({commit.id for commit in commits})
        assert [commit.at for commit in commits] == sorted(commit.at for commit in commits)

    def test_a_put_replaces_the_entity_whole(self, store: Store) -> None:
        first = store.commit(NAMESPACE, [put("e", "a", type="draft", metadata={"x": 1, "y": 1})])
        second = store.commit(NAMESPACE, [put("e", "b", type="final", metadata={"y": 2})])
        entity = store.get(NAMESPACE, "e")
        assert (entity.type, entity.content, entity.metadata, entity.revision) == ("final", "b", {"y": 2}, 2)
        assert (entity.created_at, entity.updated_at) == (first.at, second.at)
        assert second.changes[0].before == first.changes[0].after
        assert second.changes[0].after == entity

    def test_putting_the_same_again_is_a_revision(self, store: Store) -> None:
        for revision in (1, 2):
            store.commit(NAMESPACE, [put("e", "same")])
            assert store.get(NAMESPACE, "e").revision == revision

    def test_a_deleted_entity_is_gone_and_starts_again_at_revision_1(self, store: Store) -> None:
        first = store.commit(NAMESPACE, [put("e", "a")])
        deletion = store.commit(NAMESPACE, [Delete(id="e")])
        assert (deletion.changes[0].before, deletion.changes[0].after) == (first.changes[0].after, None)
        assert deletion.changes[0].entity_id == "e"
        with pytest.raises(NotFoundError):
            store.get(NAMESPACE, "e")
        again = store.commit(NAMESPACE, [put("e", "b")])
        entity = store.get(NAMESPACE, "e")
        assert (entity.revision, entity.created_at, again.changes[0].before) == (1, again.at, None)

    def test_deleting_what_is_not_there_changes_nothing(self, store: Store, open_store: OpenStore) -> None:
        with pytest.raises(NotFoundError, match="absent") as caught:
            store.commit(NAMESPACE, [put("e", "a"), Delete(id="absent")])
        assert (caught.value.namespace_id, caught.value.entity_id) == (NAMESPACE, "absent")
        _assert_untouched(store, open_store)

    @pytest.mark.parametrize(
        "bad",
        [
            *(put("e", "twice"), put("b", type="../t"), put("b", metadata={"x": float("inf")})),
            *(Delete(id=""), {"id": "b", "type": "t", "content": ""}),
        ],
    )
    def test_one_bad_change_refuses_them_all(self, store: Store, open_store: OpenStore, bad: object) -> None:
        with pytest.raises(InvalidInputError):
            store.commit(NAMESPACE, [put("e", "good"), cast("Change", bad)])
        _assert_untouched(store, open_store)

    def test_a_commit_without_changes_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInputError):
            store.commit(NAMESPACE, [])

    def test_many_changes_are_one_commit(self, store: Store, open_store: OpenStore) -> None:
        store.commit(NAMESPACE, [put(f"{n:04}", str(n)) for n in range(1000)])
        store.commit(NAMESPACE, [Delete(id=f"{n:04}") if n % 2 else put(f"{n:04}") for n in range(1000)])
        for either in both(store, open_store):
            assert either.get_namespace(NAMESPACE).version == 2
            assert either.count(NAMESPACE) == 500

    @pytest.mark.parametrize("expected", [2, {"e": 1}, {"e": 1, "absent": 0}, {}])
    def test_an_expectation_that_holds_lets_the_commit_through(
        self, store: Store, expected: Expected
    ) -> None:
        store.commit(NAMESPACE, [put("e")])
        store.commit(NAMESPACE, [put("f")])
        assert store.commit(NAMESPACE, [put("g")], expected=expected).version == 3

    @pytest.mark.parametrize(
        ("expected", "entity_ids"),
        [
            *((0, ()), (2, ()), ({"e": 0}, ("e",)), ({"e": 2}, ("e",))),
            ({"z": 1, "e": 1, "absent": 1, "y": 0}, ("absent", "z")),
        ],
    )
    def test_an_expectation_that_fails_is_a_conflict(
        self, store: Store, open_store: OpenStore, expected: Expected, entity_ids: tuple[str, ...]
    ) -> None:
        store.commit(NAMESPACE, [put("e", "kept")])
        with pytest.raises(ConflictError) as caught:
            store.commit(NAMESPACE, [put("e", "lost")], expected=expected)
        assert (caught.value.namespace_id, caught.value.entity_ids) == (NAMESPACE, entity_ids)
        with open_store() as reopened:
            assert reopened.get(NAMESPACE, "e").content == "kept"
            assert reopened.get_namespace(NAMESPACE).version == 1

    def test_an_expectation_outranks_a_delete_of_what_is_gone(self, store: Store) -> None:
        store.commit(NAMESPACE, [put("e")])
        store.commit(NAMESPACE, [Delete(id="e")])
        with pytest.raises(ConflictError):
            store.commit(NAMESPACE, [Delete(id="e")], expected={"e": 1})

    @pytest.mark.parametrize("expected", [-1, True, "1", {"e": -1}, {"e": "1"}, {"": 0}, {"e": True}])
    def test_an_expectation_that_means_nothing_is_refused(self, store: Store, expected: object) -> None:
        with pytest.raises(InvalidInputError):
            store.commit(NAMESPACE, [put()], expected=cast("Expected", expected))

    def test_another_open_store_sees_the_commit_at_once(self, store: Store, open_store: OpenStore) -> None:
        with open_store() as other:
            for version in range(1, 6):
                writer, reader = (store, other) if version % 2 else (other, store)
                commit = writer.commit(NAMESPACE, [put("e", str(version))])
                assert reader.get(NAMESPACE, "e") == commit.changes[0].after
                assert reader.get_namespace(NAMESPACE).version == commit.version == version


def _assert_untouched(store: Store, open_store: OpenStore) -> None:
    for either in both(store, open_store):
        assert either.count(NAMESPACE) == 0
        assert either.get_namespace(NAMESPACE).version == 0
        assert either.commits(NAMESPACE) == []
