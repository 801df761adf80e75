"""The fields of metadata select what a filter selects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaizen.store import Entity
from kaizen.store.filtering import Filter, field_of, flatten, path_of

if TYPE_CHECKING:
    from kaizen.store import JsonValue, Metadata

# few keys and few values, so that filters often hit
_keys = st.sampled_from(["a", "b", "a.b", "", "\0", "k" * 300])
_scalars = st.sampled_from(
    [None, True, False, 0, 1, -0.0, 1.0, 0.5, 2**53 + 1, float(2**53), "1", "", "\0é", "v" * 300]
)
_json: st.SearchStrategy[JsonValue] = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=2),
    max_leaves=5,
)
_paths = st.lists(st.sampled_from(["a", "b", "\0", "k" * 300]), min_size=1, max_size=3).map(".".join)


def selected_by_fields(metadata: Metadata, where: Metadata) -> bool:
    fields = set(flatten(metadata))
    paths = {path for path, _ in fields}
    return all(
        path_of(path) not in paths if value is None else field_of(path, value) in fields
        for path, value in Filter.parse(None, where).values
    )


@settings(max_examples=100, deadline=None)
@given(metadata=st.dictionaries(_keys, _json, max_size=3), path=_paths, value=_json)
@example(metadata={"a": 1}, path="a", value=True)
@example(metadata={"a": {"b": None}}, path="a", value={})
@example(metadata={"a": {"b": [1, 2.0]}}, path="a", value={"b": [1.0, 2]})
@example(metadata={"a.b": 1}, path="a.b", value=1)
def test_fields_select_what_the_filter_selects(metadata: Metadata, path: str, value: JsonValue) -> None:
    now = datetime.now(UTC)
    entity = Entity(
        id="e",
        namespace_id="n",
        type="t",
        content="",
        metadata=metadata,
        created_at=now,
        updated_at=now,
        revision=1,
    )
    # also with a value that is there, which a random one rarely is
    for wanted in (value, metadata.get(path)):
        where = {path: wanted}
        assert selected_by_fields(metadata, where) == Filter.parse(None, where).selects(entity)


def test_fields_are_readable_where_they_are_short() -> None:
    metadata: Metadata = {
        "category": "recovery",
        "support": 2.0,
        "deep": {"er": "é"},
        "tags": ["p"],
        "none": None,
        # No filter can name these.
        "a.key": {"with": "a dot"},
        "": "nothing",
    }
    assert flatten(metadata) == [
        ('["category"]', '"recovery"'),
        ('["support"]', "2"),
        ('["deep","er"]', '"é"'),
        ('["deep"]', '{"er":"é"}'),
        ('["tags"]', '["p"]'),
    ]


@pytest.mark.parametrize("metadata", [{"k" * 10_000: 1}, {"k": "v" * 10_000}, {"é" * 100: "é" * 100}])
def test_fields_fit_into_an_index_and_have_no_nul(metadata: Metadata) -> None:
    for path, value in flatten({**metadata, "\0": "\0"}):
        assert len(path.encode()) <= 200
        assert len(value.encode()) <= 200
        assert "\0" not in path + value
