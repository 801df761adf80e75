"""Picking entities: several types, values they must not have, prefixes of ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaizen.store import (
    InvalidInputError,
    NotFoundError,
    Put,
    Store,
    StoreSettings,
    Where,
    find_entity,
    open_store,
    read_page,
    read_pages,
    search_page,
)

N = "kaizen"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace(N)
        yield store


def put(store: Store, entity_id: str, type_: str = "guideline", **metadata: str) -> None:
    store.commit(N, [Put(id=entity_id, type=type_, content=f"order {entity_id}", metadata=metadata)])


def test_types_are_read_together_in_order_of_id_and_page_by_page(store: Store) -> None:
    for number in range(7):
        put(store, f"{number}", "abc"[number % 3])
    seen: list[list[str]] = []
    after = None
    while True:
        page = read_page(store, N, types=("a", "b"), where=Where(), after=after, limit=2)
        seen.append([entity.id for entity in page.entities])
        after = page.cursor
        if after is None:
            break
    assert seen == [["0", "1"], ["3", "4"], ["6"]]


def test_a_value_that_a_field_must_not_have_leaves_out_those_that_have_it(store: Store) -> None:
    put(store, "a", status="active")
    put(store, "b", status="retired")
    put(store, "c")
    where = Where(unequal=[("status", "retired")])
    page = read_page(store, N, types=("guideline",), where=where, limit=1)
    assert ([e.id for e in page.entities], page.cursor) == (["a"], "a")
    (whole,) = read_pages(store, N, types=("guideline",), where=where)
    assert [entity.id for entity in whole.entities] == ["a", "c"]
    present = Where(unequal=[("status", None)])
    assert [e.id for e in read_page(store, N, types=("guideline",), where=present).entities] == ["a", "b"]


def test_a_search_goes_on_until_enough_hits_are_left(store: Store) -> None:
    for number in range(20):
        put(store, f"{number:02}", status="retired" if number < 18 else "active")
    where = Where(unequal=[("status", "retired")])
    hits = search_page(store, N, "order", types=("guideline",), where=where, limit=2)
    assert {hit.entity.id for hit in hits} == {"18", "19"}
    put(store, "n", "note")
    put(store, "t", "trajectory")
    types = ("guideline", "note")
    found = {hit.entity.type for hit in search_page(store, N, "order", types=types, where=Where(), limit=30)}
    assert found == {"guideline", "note"}
    assert search_page(store, N, "order", types=(), where=Where(), limit=3) == []


def test_an_entity_is_found_by_a_prefix_of_its_id_that_no_other_has(store: Store) -> None:
    for entity_id in ("ab", "abc", "abd", "b", "ü", "a b"):
        put(store, entity_id)
    put(store, "bee", "note")
    assert find_entity(store, N, "ab").id == "ab"
    assert find_entity(store, N, "abc").id == "abc"
    assert find_entity(store, N, "be").id == "bee"
    assert find_entity(store, N, "ü").id == "ü"
    assert find_entity(store, N, "a ").id == "a b"
    with pytest.raises(NotFoundError, match="tip 'bee' does not exist"):
        find_entity(store, N, "bee", type="guideline")
    with pytest.raises(InvalidInputError, match="several ids begin with 'a': a b, ab, abc, abd;"):
        find_entity(store, N, "a")


def test_many_ids_with_one_prefix_are_not_all_listed(store: Store) -> None:
    for number in range(9):
        put(store, f"x{number}")
    with pytest.raises(InvalidInputError, match=r"x0, x1, x2, x3, x4, \.\.\.; write more"):
        find_entity(store, N, "x")
