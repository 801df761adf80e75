"""The contract by comparison: whatever is done to a store, it answers like a plain dict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kaizen.store.errors import ConflictError, NotFoundError
from kaizen.store.ids import uuid7
from kaizen.store.model import Change, Commit, Delete, Entity, Expected, JsonValue, Put
from kaizen.store.testing.fixtures import OpenStore, StoreFixtures

if TYPE_CHECKING:
    from kaizen.store.contract import Store

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# So few that commits meet again and again.
_ids = st.sampled_from(["a", "b", "c", "B", "a b", "é"])
_types = st.sampled_from(["guideline", "trajectory"])
_json: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_metadata = st.dictionaries(st.sampled_from(["category", "x"]), _json, max_size=2)
_contents = _texts | st.sampled_from(["needle", "One needle in it.", "Needle\0", "no such thing"])
_puts = st.builds(Put, id=_ids, type=_types, content=_contents, metadata=_metadata)
_changes: st.SearchStrategy[list[Change]] = st.lists(
    _puts | st.builds(Delete, id=_ids), min_size=1, max_size=3, unique_by=lambda change: str(change.id)
)
_expected = st.none() | st.integers(0, 5) | st.dictionaries(_ids, st.integers(0, 2), max_size=2)


class ModelContract(StoreFixtures):
    model_examples = 15
    model_steps = 20

    def test_it_answers_like_a_dict_whatever_happens(self, open_store: OpenStore) -> None:
        run_state_machine_as_test(
            # Declared to take a class, documented to take any function that returns a machine.
            cast("type[RuleBasedStateMachine]", partial(_Machine, open_store)),
            settings=settings(
                max_examples=self.model_examples,
                stateful_step_count=self.model_steps,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )


class _Machine(RuleBasedStateMachine):
    """A namespace of its own, and beside it what must be in there."""

    def __init__(self, open_store: OpenStore) -> None:
        super().__init__()
        self.open_store = open_store
        self.store: Store = open_store()
        self.namespace_id = f"model-{uuid7()}"
        self.store.create_namespace(self.namespace_id)
        self.model: dict[str, Entity] = {}
        self.made: list[Commit] = []

    @rule(changes=_changes, expected=_expected, run_id=st.sampled_from([None, "r1", "r2"]))
    def commit(self, changes: list[Change], expected: Expected | None, run_id: str | None) -> None:
        try:
            commit = self.store.commit(self.namespace_id, changes, expected=expected, run_id=run_id)
        except ConflictError:
            assert not self._holds(expected)
            return
        except NotFoundError:
            assert self._holds(expected)
            assert any(isinstance(change, Delete) and change.id not in self.model for change in changes)
            return
        assert self._holds(expected)
        for change, applied in zip(changes, commit.changes, strict=True):
            self._apply(commit, change, applied.before, applied.after)
        self.made.append(commit)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open_store()

    @precondition(lambda self: self.made)
    @rule(entity_id=_ids, run_id=st.sampled_from(["r1", "r2"]))
    def look_back(self, entity_id: str, run_id: str) -> None:
        assert self.store.commits(self.namespace_id) == self.made
        assert self.store.commits(self.namespace_id, run_id=run_id) == [
            c for c in self.made if c.run_id == run_id
        ]
        assert [
            (commit.version, *commit.changes) for commit in self.store.history(self.namespace_id, entity_id)
        ] == [
            (commit.version, change)
            for commit in self.made
            for change in commit.changes
            if change.entity_id == entity_id
        ]

    @rule(type_=_types, limit=st.integers(1, 3))
    def page(self, type_: str, limit: int) -> None:
        found: list[Entity] = []
        cursor: str | None = None
        while True:
            page = self.store.list(self.namespace_id, type=type_, after=cursor, limit=limit)
            found += page.entities
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [self.model[key] for key in sorted(self.model) if self.model[key].type == type_]

    @rule(type_=st.none() | _types)
    def search(self, type_: str | None) -> None:
        hits = self.store.search(self.namespace_id, "a needle", type=type_)
        assert all(hit.entity == self.model[hit.entity.id] for hit in hits)
        assert {hit.entity.id for hit in hits if hit.lexical is not None} == {
            entity.id
            for entity in self.model.values()
            if "needle" in entity.content.lower() and type_ in (None, entity.type)
        }

    @invariant()
    def same(self) -> None:
        assert {entity.id: entity for entity in self.store.iterate(self.namespace_id)} == self.model
        assert self.store.count(self.namespace_id) == len(self.model)
        assert self.store.get_namespace(self.namespace_id).version == len(self.made)

    def teardown(self) -> None:
        self.store.close()

    def _holds(self, expected: Expected | None) -> bool:
        if expected is None or isinstance(expected, int):
            return expected in (None, len(self.made))
        return all((self.model[key].revision if key in self.model else 0) == n for key, n in expected.items())

    def _apply(self, commit: Commit, change: Change, before: Entity | None, after: Entity | None) -> None:
        assert change.id is not None
        assert before == self.model.get(change.id)
        if isinstance(change, Delete):
            assert after is None
            del self.model[change.id]
            return
        assert after is not None
        assert (after.type, after.content, after.metadata) == (change.type, change.content, change.metadata)
        assert after.revision == (before.revision if before else 0) + 1
        assert (after.created_at, after.updated_at) == (before.created_at if before else commit.at, commit.at)
        self.model[change.id] = after
