"""New ids are UUIDv7 that sort in the order they were made."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from kaizen.store import uuid7


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    parsed = uuid.UUID(uuid7())
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before - 1 <= parsed.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_grow_and_never_repeat() -> None:
    ids = [uuid7() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_threads_get_different_ids() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [uuid7() for _ in range(2000)], range(4)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({id_ for batch in batches for id_ in batch}) == 8000


def test_ids_grow_though_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    last = uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ids = [uuid7() for _ in range(100)]
    assert [last, *ids] == sorted({last, *ids})


def test_an_id_is_greater_than_the_one_it_follows_and_others_are_not_moved_by_it() -> None:
    ahead = "f0000000-0000-7000-8000-000000000000"
    following = uuid7(after=ahead)
    assert ahead < following < "f0000000-0000-7001"
    assert uuid7(after=following) > following
    assert uuid7() < "f"
    assert uuid7(after=uuid7()) < "f"


@pytest.mark.parametrize(
    "other", ["", "no id", "ffffffff-ffff-7fff-bfff-ffffffffffff", "F0000000-0000-7000-8000-000000000000"]
)
def test_what_is_not_a_uuid7_or_cannot_be_followed_is_ignored(other: str) -> None:
    assert uuid7(after=other) < "f"
