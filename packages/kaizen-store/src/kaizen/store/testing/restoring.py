"""The contract of restoring: commits made elsewhere go in as they are, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import ConflictError, InvalidInputError, NotFoundError
from kaizen.store.model import Applied, Change, Commit, Delete, Put
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures

if TYPE_CHECKING:
    from kaizen.store.contract import Store

COPY = "copy"
LONG_AGO = datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC)


class RestoreContract(StoreFixtures):
    def test_restored_commits_are_as_they_were_made(self, store: Store, open_store: OpenStore) -> None:
        made = _some_commits(store)
        store.create_namespace(COPY, created_at=LONG_AGO)
        store.restore(COPY, made[:2])
        store.restore(COPY, made[2:])
        with open_store() as reopened:
            for either in (store, reopened):
                assert either.commits(COPY) == made
                assert either.get_namespace(COPY).created_at == LONG_AGO
                assert either.get_namespace(COPY).version == len(made)
                entities = list(either.iterate(COPY))
                assert [(e.id, e.content, e.revision) for e in entities] == [("a", "a3\0", 1), ("b", "b2", 2)]
                assert [hit.entity.id for hit in either.search(COPY, "b2")][:1] == ["b"]
        after = store.commit(COPY, [Put(id="a", type="t", content="a4")], expected={"a": 1})
        assert after.version == len(made) + 1
        assert after.at >= made[-1].at

    def test_commits_that_do_not_follow_change_nothing(self, store: Store) -> None:
        made = _some_commits(store)
        store.create_namespace(COPY)
        for wrong in (
            made[1:],
            [made[0], made[2]],
            [made[0], made[0]],
            [made[0], replace(made[3], version=2)],
        ):
            with pytest.raises(ConflictError):
                store.restore(COPY, wrong)
            assert store.get_namespace(COPY).version == 0
            assert list(store.iterate(COPY)) == []

    def test_a_commit_that_no_store_makes_is_refused(self, store: Store, open_store: OpenStore) -> None:
        first, *_ = _some_commits(store)
        store.create_namespace(COPY)
        change, other = first.changes
        assert change.after is not None
        for wrong in (
            replace(first, changes=()),
            replace(first, changes=(Applied(before=None, after=None),)),
            replace(first, changes=(change, change)),
            replace(first, actor="\ud800"),
            *(
                replace(first, changes=(other, replace(change, after=replace(change.after, **fields))))
                for fields in (
                    {"revision": 2},
                    {"id": ""},
                    {"type": "no type"},
                    {"content": "\ud800"},
                    {"metadata": {"n": 2**64}},
                )
            ),
        ):
            with pytest.raises(InvalidInputError, match="commit 1 cannot be restored"):
                store.restore(COPY, [wrong])
        store.restore(COPY, [first])
        with open_store() as reopened:
            assert reopened.commits(COPY) == [first]

    def test_commits_go_into_the_namespace_they_name(self, store: Store) -> None:
        made = _some_commits(store)
        store.create_namespace("other")
        with pytest.raises(InvalidInputError, match="other"):
            store.restore("other", made)
        with pytest.raises(NotFoundError):
            store.restore(COPY, made)

    def test_ids_sort_by_version_though_a_clock_was_ahead(self, store: Store, open_store: OpenStore) -> None:
        made = _some_commits(store)
        store.create_namespace(COPY)
        ahead = "f0000000-0000-7000-8000-000000000000"
        store.restore(COPY, [replace(made[0], id=ahead)])
        store.commit(COPY, [Put(id="a", type="t", content="a2")])
        with open_store() as reopened:
            reopened.commit(COPY, [Put(id="a", type="t", content="a3")])
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


def _some_commits(store: Store) -> list[Commit]:
    """As they would look in the namespace `copy`, and made long ago."""
    changes: list[list[Change]] = [
        [Put(id="a", type="t", content="a1", metadata={"n": 1.0}), Put(id="b", type="t", content="b1")],
        [Put(id="b", type="u", content="b2", metadata={"x": "\0"})],
        [Delete(id="a")],
        [Put(id="a", type="t", content="a3\0")],
    ]
    made = [
        store.commit(NAMESPACE, change, actor="ann", reason="why", run_id="r" if number % 2 else None)
        for number, change in enumerate(changes)
    ]
    return [_moved(commit, LONG_AGO - made[0].at) for commit in made]


def _moved(commit: Commit, by: timedelta) -> Commit:
    return replace(
        commit,
        namespace_id=COPY,
        at=commit.at + by,
        changes=tuple(
            replace(
                change,
                **{
                    side: replace(
                        entity,
                        namespace_id=COPY,
                        created_at=entity.created_at + by,
                        updated_at=entity.updated_at + by,
                    )
                    for side, entity in (("before", change.before), ("after", change.after))
                    if entity is not None
                },
            )
            for change in commit.changes
        ),
    )
