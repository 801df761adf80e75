"""What a tip may say of itself: checked both ways, completed, and never the end of a reader."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import Put, Store, StoreError, StoreSettings, open_store
from kaizen.tips import (
    SCHEMA_VERSION,
    InvalidTipError,
    StoredTip,
    TipSource,
    check_tip,
    manual_tip,
    migrate_tips,
    read_tips,
)
from tests.support.stored_tips import stored_tip, tip_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"status": "bogus"}, "status"),
    ({"status": 1}, "status"),
    ({"sources": 3}, "sources"),
    ({"sources": [{"trace_id": 3}]}, "sources.0.trace_id"),
    ({"sources": [{"trace_id": "t", "tools": ["x"]}]}, "sources.0.tools"),
    ({"contradicts": 5}, "contradicts"),
    ({"contradictions": ["x"]}, "contradictions"),
    ({"implementation_steps": "stop"}, "implementation_steps"),
    ({"support": True}, "support"),
    ({"support": -1}, "support"),
    ({"trigger": {"a": 1}}, "trigger"),
    ({"merged_from": ["x"]}, "merged_from.0"),
    ({"merged_from": [{"id": "a", "content": None}]}, "merged_from.0.content"),
    ({"kept_apart": [1]}, "kept_apart.0"),
    ({"schema_version": SCHEMA_VERSION + 1}, "schema_version"),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("kaizen")
        yield store


def put(store: Store, tip_id: str, **metadata: Any) -> None:
    store.commit("kaizen", [Put(id=tip_id, type="guideline", content=tip_id, metadata=metadata)])


@pytest.mark.parametrize(("metadata", "field"), HOSTILE)
def test_a_wrong_field_is_refused_with_the_id_and_the_field_in_one_line(
    metadata: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidTipError) as caught:
        check_tip(Put(id="t1", type="guideline", content="x", metadata=metadata))

    assert isinstance(caught.value, StoreError)
    assert (caught.value.entity_id, caught.value.field) == ("t1", field)
    assert str(caught.value).startswith(f"tip t1 is not valid: metadata field '{field}': ")
    assert "\n" not in str(caught.value)


def test_other_entities_and_fields_that_tips_do_not_have_may_hold_anything() -> None:
    check_tip(Put(type="note", content="x", metadata={"status": "bogus", "sources": 3}))
    check_tip(Put(type="guideline", content="x", metadata={"team": ["a", 1, None]}))


def test_a_tip_is_checked_on_its_way_out_too() -> None:
    with pytest.raises(InvalidTipError, match=r"t1.*'kept_apart'"):
        stored_tip("t1", "x", "a").with_metadata(kept_apart="t2").to_changes()


def test_the_status_and_the_schema_version_are_always_written() -> None:
    for put in (
        StoredTip(id="t1", content="x").to_changes()[0],
        stored_tip("t2", "x", "a").to_changes()[0],
        manual_tip("x"),
    ):
        assert isinstance(put, Put)
        assert (put.metadata["status"], put.metadata["schema_version"]) == ("active", SCHEMA_VERSION)


def test_what_a_person_adds_may_not_have_a_wrong_field() -> None:
    with pytest.raises(InvalidTipError, match="the tip is not valid: metadata field 'status'"):
        manual_tip("x", status="bogus")


def test_a_source_is_read_as_it_was_written() -> None:
    source = tip_source("a", story_id="b", steps=(1, 2), tools={"t": "v"}, models=("m",), is_suspect=True)

    assert TipSource.of(source.to_json()) == source


def test_a_tip_of_before_is_active_and_found_as_such_once_it_is_migrated(store: Store) -> None:
    put(store, "old")
    put(store, "none", status=None)
    put(store, "retired", status="retired", schema_version=1)
    assert [tip.status for tip in read_tips(store.iterate("kaizen"))].count("active") == 2

    assert migrate_tips(store, "kaizen", actor="test") == 3

    assert store.get_namespace("kaizen").version == 4, "one commit for all"
    found = store.search("kaizen", "old none retired", where={"status": "active"})
    assert {hit.entity.id for hit in found} == {"old", "none"}
    assert migrate_tips(store, "kaizen", actor="test") == 0
    assert store.get_namespace("kaizen").version == 4


def test_a_tip_that_is_not_valid_is_named_and_does_not_stop_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, "old")
    put(store, "bad", sources=3)

    assert [tip.id for tip in read_tips(store.iterate("kaizen"))] == ["old"]
    assert [record.message.partition(":")[2].partition(" is")[0] for record in caplog.records] == [" tip bad"]
    assert migrate_tips(store, "kaizen", actor="test") == 1
    assert store.get("kaizen", "bad").revision == 1


def test_importing_the_package_loads_neither_pydantic_nor_the_store() -> None:
    code = "import json, sys, kaizen.tips; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"pydantic", "snowballstemmer", "kaizen.store", "numpy"}.isdisjoint(json.loads(done.stdout))
