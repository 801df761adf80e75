"""The contract of reading: get, list, iterate, count and their filters."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import InvalidInputError, NotFoundError
from kaizen.store.model import Delete, Metadata
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, both, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store


class EntityContract(StoreFixtures):
    def test_an_entity_is_read_as_it_was_put(self, store: Store, open_store: OpenStore) -> None:
        metadata: Metadata = {"category": "recovery", "score": 0.25, "sources": [{"n": 3}], "no": None}
        commit = store.commit(NAMESPACE, [put("e", "Retry.", type="guideline", metadata=metadata)])
        for either in both(store, open_store):
            entity = either.get(NAMESPACE, "e")
            assert entity == commit.changes[0].after
            assert (entity.id, entity.namespace_id, entity.type) == ("e", NAMESPACE, "guideline")
            assert (entity.content, entity.metadata, entity.revision) == ("Retry.", metadata, 1)
            assert entity.created_at == entity.updated_at == commit.at

    def test_metadata_is_plain_json_whatever_was_put(self, store: Store) -> None:
        store.commit(NAMESPACE, [put("e", metadata={"pair": (1, (2, 3))})])
        assert json.dumps(store.get(NAMESPACE, "e").metadata) == '{"pair": [1, [2, 3]]}'

    def test_types_of_json_are_kept_apart(self, store: Store, open_store: OpenStore) -> None:
        values: Metadata = {"t": True, "i": 1, "f": 1.0, "s": "1", "z": 0, "n": None, "e": "", "l": []}
        store.commit(NAMESPACE, [put("e", metadata=values)])
        with open_store() as reopened:
            read = reopened.get(NAMESPACE, "e").metadata
        assert read == values
        assert {key: type(value) for key, value in read.items()} == {k: type(v) for k, v in values.items()}

    def test_entities_are_counted_by_type(self, store: Store, open_store: OpenStore) -> None:
        assert store.count_by_type(NAMESPACE) == {}
        store.commit(NAMESPACE, [put(f"{n}", type="b" if n % 3 else "a") for n in range(6)])
        store.commit(NAMESPACE, [Delete(id="0"), put("1", type="c")])
        for either in both(store, open_store):
            assert either.count_by_type(NAMESPACE) == {"a": 1, "b": 3, "c": 1}
        store.commit(NAMESPACE, [Delete(id="1")])
        assert store.count_by_type(NAMESPACE) == {"a": 1, "b": 3}
        with pytest.raises(NotFoundError):
            store.count_by_type("nowhere")

    def test_what_is_missing_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="absent") as caught:
            store.get(NAMESPACE, "absent")
        assert (caught.value.namespace_id, caught.value.entity_id) == (NAMESPACE, "absent")

    def test_get_many_gives_those_that_exist(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(name, name) for name in "abc"])
        found = store.get_many(NAMESPACE, ["c", "absent", "a", "a"])
        assert {entity_id: entity.content for entity_id, entity in found.items()} == {"a": "a", "c": "c"}
        assert store.get_many(NAMESPACE, []) == {}

    def test_what_is_returned_belongs_to_the_caller(self, store: Store) -> None:
        nested: Metadata = {"list": [1], "map": {"a": 1}}
        commit = store.commit(NAMESPACE, [put("e", metadata=nested)])
        _spoil(nested)
        update = store.commit(NAMESPACE, [put("e", metadata={"list": [1], "map": {"a": 1}})])
        for change in (*commit.changes, *update.changes):
            for entity in (change.before, change.after):
                if entity is not None:
                    _spoil(entity.metadata)
        _spoil(store.get(NAMESPACE, "e").metadata)
        _spoil(store.get_many(NAMESPACE, ["e"])["e"].metadata)
        _spoil(store.list(NAMESPACE).entities[0].metadata)
        _spoil(next(store.iterate(NAMESPACE)).metadata)
        for read in (*store.history(NAMESPACE, "e"), *store.commits(NAMESPACE)):
            assert read.changes[0].after is not None
            _spoil(read.changes[0].after.metadata)
        assert store.get(NAMESPACE, "e").metadata == {"list": [1], "map": {"a": 1}}

    def test_entities_are_listed_in_order_of_code_points(self, store: Store, open_store: OpenStore) -> None:
        ids = ["a", "B", "b", "ä", "z", "😀", "\uffee", "a b", "a:b", "10", "9", "A" * 512]
        shuffled = random.Random(7).sample(ids, len(ids))  # noqa: S311
        for entity_id in shuffled[:6]:
            store.commit(NAMESPACE, [put(entity_id)])
        # A store may index at its first read: later commits must keep that order.
        store.list(NAMESPACE)
        store.commit(NAMESPACE, [put(entity_id) for entity_id in shuffled[6:]])
        for either in both(store, open_store):
            assert [entity.id for entity in either.list(NAMESPACE).entities] == sorted(ids)
            assert [entity.id for entity in either.iterate(NAMESPACE)] == sorted(ids)

    @pytest.mark.parametrize("limit", [1, 2, 3, 9, 10, 11])
    def test_pages_hold_each_entity_once(self, store: Store, limit: int) -> None:
        store.commit(NAMESPACE, [put(f"{n:02}") for n in range(10)])
        pages = [store.list(NAMESPACE, limit=limit)]
        while pages[-1].cursor is not None:
            pages.append(store.list(NAMESPACE, after=pages[-1].cursor, limit=limit))
        assert [entity.id for page in pages for entity in page.entities] == [f"{n:02}" for n in range(10)]
        assert all(len(page.entities) == limit for page in pages[:-1])
        assert pages[-1].entities

    def test_an_empty_namespace_gives_one_empty_page(self, store: Store) -> None:
        page = store.list(NAMESPACE)
        assert (page.entities, page.cursor) == ((), None)
        assert list(store.iterate(NAMESPACE)) == []
        assert store.count(NAMESPACE) == 0

    def test_paging_goes_on_where_it_was_though_entities_come_and_go(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(name) for name in "bdfh"])
        page = store.list(NAMESPACE, limit=2)
        assert page.cursor is not None
        store.commit(NAMESPACE, [Delete(id="d"), put("a"), put("e")])
        rest = store.list(NAMESPACE, after=page.cursor, limit=10)
        assert [entity.id for entity in rest.entities] == ["e", "f", "h"]

    def test_iterate_reads_more_than_any_page(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(f"{n:05}") for n in range(2345)])
        assert [entity.id for entity in store.iterate(NAMESPACE)] == [f"{n:05}" for n in range(2345)]

    def test_types_are_selected(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(f"{n}", type="even" if n % 2 == 0 else "odd") for n in range(7)])
        page = store.list(NAMESPACE, type="odd", limit=2)
        assert [entity.id for entity in page.entities] == ["1", "3"]
        page = store.list(NAMESPACE, type="odd", after=page.cursor, limit=2)
        assert ([entity.id for entity in page.entities], page.cursor) == (["5"], None)
        assert [entity.id for entity in store.iterate(NAMESPACE, type="even")] == ["0", "2", "4", "6"]
        assert store.count(NAMESPACE, type="even") == 4
        assert store.count(NAMESPACE, type="neither") == 0

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ({}, "abcdef"),
            *(({"category": "recovery"}, "ab"), ({"category": "recovery", "support": 2}, "b")),
            *(({"support": 2.0}, "b"), ({"support": "2"}, ""), ({"flag": True}, "c"), ({"flag": 1}, "d")),
            *(({"deep": {"er": "x", "n": 1}}, "e"), ({"deep": {"er": "x"}}, "")),
            *(({"deep.er": "x"}, "e"), ({"deep.er.est": "x"}, "")),
            *(({"tags": ["p", "q"]}, "f"), ({"tags": ["q", "p"]}, ""), ({"tags": "p"}, "")),
            # A path that leads nowhere is None, as one that holds null is.
            *(
                ({"category": None}, "cdef"),
                ({"deep.n": None}, "abcdf"),
                ({"nowhere.at.all": None}, "abcdef"),
            ),
            ({"it's \"%_": "'; DROP TABLE entities; --"}, ""),
        ],
    )
    def test_metadata_is_filtered(self, store: Store, where: Metadata, expected: str) -> None:
        metadata: dict[str, Metadata] = {
            "a": {"category": "recovery", "support": 1},
            "b": {"category": "recovery", "support": 2},
            "c": {"flag": True},
            "d": {"flag": 1, "category": None},
            "e": {"deep": {"er": "x", "n": 1}},
            "f": {"tags": ["p", "q"]},
        }
        store.commit(NAMESPACE, [put(name, metadata=m) for name, m in metadata.items()])
        assert "".join(entity.id for entity in store.list(NAMESPACE, where=where).entities) == expected
        assert "".join(entity.id for entity in store.iterate(NAMESPACE, where=where)) == expected
        assert store.count(NAMESPACE, where=where) == len(expected)

    @pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10", None])
    def test_a_limit_is_a_positive_integer(self, store: Store, limit: object) -> None:
        for call in (store.list, store.commits):
            with pytest.raises(InvalidInputError, match="limit"):
                call(NAMESPACE, limit=cast("int", limit))

    @pytest.mark.parametrize("limit", [2**31, 2**61, 2**63 - 1, 2**63, 2**70])
    def test_a_limit_may_be_of_any_size(self, store: Store, limit: int) -> None:
        commit = store.commit(NAMESPACE, [put("e", "needle")])
        for where in ({}, {"x": None}):
            assert store.list(NAMESPACE, where=where, limit=limit).entities == (commit.changes[0].after,)
            (hit,) = store.search(NAMESPACE, "needle", where=where, limit=limit)
            assert hit.entity.id == "e"
        assert store.commits(NAMESPACE, limit=limit) == [commit]

    @pytest.mark.parametrize(
        "where", [{"": 1}, {"a..b": 1}, {".a": 1}, {1: 1}, {"a": {1}}, {"a": float("nan")}]
    )
    def test_a_filter_that_means_nothing_is_refused(self, store: Store, where: object) -> None:
        for call in (store.list, store.count, store.iterate):
            with pytest.raises(InvalidInputError):
                call(NAMESPACE, where=cast("Metadata", where))

    def test_a_filter_by_an_impossible_type_is_refused(self, store: Store) -> None:
        for call in (store.list, store.count, store.iterate):
            with pytest.raises(InvalidInputError, match="type"):
                call(NAMESPACE, type="no such type!")


def _spoil(metadata: Metadata) -> None:
    """Change whatever can be changed, as a careless caller would."""
    values = cast("dict[str, list[object] | dict[str, object]]", metadata)
    for value in values.values():
        value.clear()
    values.clear()
