"""The contract of namespaces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kaizen.store.contract import Store
from kaizen.store.errors import ConflictError, NotFoundError, StoreError
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, both, calls_on, put


class NamespaceContract(StoreFixtures):
    def test_an_empty_store_has_no_namespaces(self, open_store: OpenStore) -> None:
        with open_store() as store:
            assert store.list_namespaces() == []

    def test_a_new_namespace_is_at_version_0_and_knows_when_it_was_created(
        self, open_store: OpenStore
    ) -> None:
        with open_store() as store:
            namespace = store.create_namespace("new")
            assert (namespace.id, namespace.version) == ("new", 0)
            assert namespace.created_at.utcoffset() == timedelta(0)
            assert abs(datetime.now(UTC) - namespace.created_at) < timedelta(minutes=5)
            assert store.get_namespace("new") == namespace

    def test_creating_a_namespace_twice_is_a_conflict_unless_that_is_fine(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(content="kept")])
        with pytest.raises(ConflictError, match=NAMESPACE) as caught:
            store.create_namespace(NAMESPACE)
        assert caught.value.namespace_id == NAMESPACE
        assert store.create_namespace(NAMESPACE, exist_ok=True) == store.get_namespace(NAMESPACE)
        assert store.count(NAMESPACE) == 1

    def test_namespaces_are_listed_in_order_of_id(self, open_store: OpenStore) -> None:
        with open_store() as store:
            for namespace_id in ("b", "a.b", "a", "a-b", "B", "_"):
                store.create_namespace(namespace_id)
            assert [n.id for n in store.list_namespaces()] == ["B", "_", "a", "a-b", "a.b", "b"]

    def test_namespaces_are_isolated(self, store: Store) -> None:
        store.create_namespace("other")
        store.commit(NAMESPACE, [put("e", "here")])
        store.commit("other", [put("e", "there")])
        assert store.get(NAMESPACE, "e").content == "here"
        assert store.get("other", "e").content == "there"

    def test_ids_that_differ_only_in_case_are_two_namespaces(self, open_store: OpenStore) -> None:
        with open_store() as store:
            for namespace_id in ("team", "Team", "TEAM"):
                store.create_namespace(namespace_id)
                store.commit(namespace_id, [put("e", namespace_id)])
        with open_store() as store:
            for namespace_id in ("team", "Team", "TEAM"):
                assert store.get(namespace_id, "e").content == namespace_id

    @pytest.mark.parametrize(
        "namespace_id", ["con", "nul.txt", "COM1", "a" * 100, "A" * 100, "-", "__", "x."]
    )
    def test_any_allowed_id_works(self, open_store: OpenStore, namespace_id: str) -> None:
        with open_store() as store:
            store.create_namespace(namespace_id)
            store.commit(namespace_id, [put("e", "text")])
        with open_store() as store:
            assert [n.id for n in store.list_namespaces()] == [namespace_id]
            assert store.get(namespace_id, "e").content == "text"

    def test_the_version_counts_the_commits(self, store: Store) -> None:
        for version in (1, 2, 3):
            store.commit(NAMESPACE, [put(content="a"), put(content="b")])
            assert store.get_namespace(NAMESPACE).version == version

    def test_a_deleted_namespace_is_gone_with_all_it_held(self, store: Store, open_store: OpenStore) -> None:
        store.commit(NAMESPACE, [put("e", "text")])
        store.delete_namespace(NAMESPACE)
        for either in both(store, open_store):
            assert either.list_namespaces() == []
            with pytest.raises(NotFoundError):
                either.get(NAMESPACE, "e")

    def test_a_namespace_created_again_starts_empty(self, store: Store) -> None:
        store.commit(NAMESPACE, [put("e", "text")])
        store.delete_namespace(NAMESPACE)
        assert store.create_namespace(NAMESPACE).version == 0
        assert store.count(NAMESPACE) == 0
        assert store.commits(NAMESPACE) == []
        assert store.history(NAMESPACE, "e") == []

    def test_another_store_notices_a_namespace_deleted_and_created_again(
        self, store: Store, open_store: OpenStore
    ) -> None:
        with open_store() as other:
            # Of one length, so that the files of the two lives look alike.
            for content in ("first", "other"):
                store.commit(NAMESPACE, [put("e", content)])
                assert other.get(NAMESPACE, "e").content == content
                store.delete_namespace(NAMESPACE)
                with pytest.raises(NotFoundError):
                    other.count(NAMESPACE)
                store.create_namespace(NAMESPACE)
                assert other.count(NAMESPACE) == 0

    def test_what_needs_a_namespace_says_which_one_is_missing(self, store: Store) -> None:
        for call in calls_on(store, "missing"):
            with pytest.raises(NotFoundError, match="missing") as caught:
                call()
            assert (caught.value.namespace_id, caught.value.entity_id) == ("missing", None)

    def test_check_passes_and_leaves_nothing_behind(self, store: Store) -> None:
        before = store.list_namespaces()
        store.check()
        assert store.list_namespaces() == before
        assert store.count(NAMESPACE) == 0

    def test_check_passes_on_an_empty_store(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.check()
            assert store.list_namespaces() == []

    def test_the_location_is_told(self, store: Store) -> None:
        assert isinstance(store.location, str)
        assert store.location

    def test_it_is_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_a_store_can_be_closed_twice_and_not_used_afterwards(self, store: Store) -> None:
        store.close()
        store.close()
        for call in (*calls_on(store, NAMESPACE), store.list_namespaces):
            with pytest.raises(StoreError, match="closed"):
                call()
