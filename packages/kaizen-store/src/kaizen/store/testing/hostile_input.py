"""The contract of input nobody should send: kept exactly, or refused with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from kaizen.store.errors import InvalidInputError
from kaizen.store.model import Delete, JsonValue, Metadata, Put
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, calls_on, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store

BAD_NAMES = [
    *("", ".", "..", "../x", ".hidden", "a/b", "a\\b", "a b", "a\0b", "a\n", "x;--", 'x"', "x'"),
    *("ä", "\uff21", "\ud800", "a" * 101),
]
TEXTS = [
    *("", "42", "null", "true", '{"a": 1}'),
    "line one\nline two\r\nand\rthree\u2028four\u0085five\x0bsix",
    "NUL \0 inside",
    "\x1b[31mred\x9b0m\x7f",
    " leading and trailing ",
    "it's; DROP TABLE entities; -- \" ' \\ %s ${x} {y}",
    "😀 e\u0301 é \ufeff \u202e \uffff",
]


class HostileInputContract(StoreFixtures):
    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_a_bad_namespace_id_is_refused_everywhere_with_the_rule(self, store: Store, name: str) -> None:
        for call in (
            lambda: store.create_namespace(name),
            lambda: store.create_namespace(name, exist_ok=True),
            *calls_on(store, name),
        ):
            with pytest.raises(InvalidInputError, match=r"namespace id .* letters"):
                call()
        assert [namespace.id for namespace in store.list_namespaces()] == [NAMESPACE]

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_a_bad_type_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidInputError, match=r"entity type .* letters"):
            store.commit(NAMESPACE, [put(type=name)])

    @pytest.mark.parametrize(
        "entity_id", ["", "a\0b", "a\nb", "\x7f", "\x9b", "\udc80", "x" * 513, 7, None, b"e"]
    )
    def test_a_bad_entity_id_is_refused_everywhere(self, store: Store, entity_id: object) -> None:
        bad = cast("str", entity_id)
        for call in (
            lambda: store.commit(NAMESPACE, [Delete(id=bad)]),
            lambda: store.commit(NAMESPACE, [put()], expected={bad: 0}),
            lambda: store.get(NAMESPACE, bad),
            lambda: store.get_many(NAMESPACE, ["good", bad]),
            lambda: store.history(NAMESPACE, bad),
        ):
            with pytest.raises(InvalidInputError, match="entity id"):
                call()
        if entity_id is not None:
            with pytest.raises(InvalidInputError, match="entity id"):
                store.commit(NAMESPACE, [put(bad)])

    @pytest.mark.parametrize(
        "entity_id",
        [" ", "../../etc/passwd", "a/b\\c", "'q\"; --", "trajectory:phoenix:my project:0af7", "😀" * 512],
    )
    def test_any_other_text_is_an_entity_id(
        self, store: Store, open_store: OpenStore, entity_id: str
    ) -> None:
        store.commit(NAMESPACE, [put(entity_id, "x")])
        with open_store() as reopened:
            assert reopened.get(NAMESPACE, entity_id).id == entity_id
            assert len(reopened.history(NAMESPACE, entity_id)) == 1
            reopened.commit(NAMESPACE, [Delete(id=entity_id)], expected={entity_id: 1})
            assert reopened.count(NAMESPACE) == 0

    @pytest.mark.parametrize("text", TEXTS)
    def test_text_is_kept_exactly(self, store: Store, open_store: OpenStore, text: str) -> None:
        metadata: Metadata = {text: [text, {text: text}]}
        store.commit(NAMESPACE, [put("e", text, metadata=metadata)], actor=text, reason=text, run_id=text)
        with open_store() as reopened:
            entity = reopened.get(NAMESPACE, "e")
            assert (entity.content, type(entity.content), entity.metadata) == (text, str, metadata)
            (commit,) = reopened.commits(NAMESPACE, run_id=text)
            assert (commit.actor, commit.reason, commit.run_id) == (text, text, text)

    def test_content_of_10_megabytes_is_kept(self, store: Store, open_store: OpenStore) -> None:
        content = 'ä"\n\0x' * 2_000_000
        store.commit(NAMESPACE, [put("e", content)])
        with open_store() as reopened:
            assert reopened.get(NAMESPACE, "e").content == content

    def test_deep_json_is_kept_up_to_the_limit(self, store: Store, open_store: OpenStore) -> None:
        metadata: Metadata = {"x": _nested(99)}
        store.commit(NAMESPACE, [put("e", metadata=metadata)])
        with open_store() as reopened:
            assert reopened.get(NAMESPACE, "e").metadata == metadata

    @pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 0.1, 5e-324, 1.7976931348623157e308, -0.0])
    def test_numbers_are_kept_exactly(self, store: Store, open_store: OpenStore, value: float) -> None:
        store.commit(NAMESPACE, [put("e", metadata={"n": value})])
        with open_store() as reopened:
            assert repr(reopened.get(NAMESPACE, "e").metadata["n"]) == repr(value)

    @pytest.mark.parametrize(
        "metadata",
        [
            *({"x": float("nan")}, {"x": float("inf")}, {"x": [{"y": -float("inf")}]}, {"x": 2**63}),
            *({"x": "\ud800"}, {"\ud800": 1}, {"x": {"y\udfff": 1}}),
            *({1: "x"}, {None: "x"}, {"x": {2: "y"}}, {"x": b"bytes"}, {"x": {1, 2}}, {"x": object()}),
            *(["no", "mapping"], "text", None),
        ],
    )
    def test_what_json_cannot_carry_is_refused(
        self, store: Store, open_store: OpenStore, metadata: object
    ) -> None:
        with pytest.raises(InvalidInputError):
            store.commit(NAMESPACE, [Put(type="t", content="", metadata=cast("Metadata", metadata))])
        with open_store() as reopened:
            assert reopened.count(NAMESPACE) == 0

    def test_json_without_an_end_is_refused(self, store: Store) -> None:
        endless: list[JsonValue] = []
        endless.append(endless)
        for value in (endless, _nested(101), _nested(100_000)):
            with pytest.raises(InvalidInputError, match="deep"):
                store.commit(NAMESPACE, [put(metadata={"x": value})])

    @pytest.mark.parametrize("text", ["lone \ud800 surrogate", None, 42, b"bytes", ["list"]])
    def test_text_that_is_no_text_is_refused(self, store: Store, text: object) -> None:
        bad = cast("str", text)
        with pytest.raises(InvalidInputError, match="content"):
            store.commit(NAMESPACE, [put(content=bad)])
        # None is how a caller says that there is no run.
        for name in ("actor", "reason", *(["run_id"] if text is not None else [])):
            with pytest.raises(InvalidInputError, match=name.replace("_", " ")):
                store.commit(NAMESPACE, [put()], **cast("dict[str, Any]", {name: bad}))
        assert store.get_namespace(NAMESPACE).version == 0


def _nested(levels: int) -> JsonValue:
    value: JsonValue = "core"
    for _ in range(levels):
        value = [value]
    return value
