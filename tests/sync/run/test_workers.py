"""The queue between telling and committing: who is served first, and in which order results are taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.run.prepare import Untold
from kaizen.sync.run.workers import Pending
from tests.support.spans import START

if TYPE_CHECKING:
    from collections.abc import Iterator


class Story:
    """As much of a story as the queue looks at; it is told once it may be."""

    marks = frozenset[str]()

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun, self.may_end = threading.Event(), threading.Event()

    def tell(self) -> str:
        self.begun.set()
        assert self.may_end.wait(10)
        return self.name


@pytest.fixture
def pending() -> Iterator[Any]:
    made = Pending(2)
    yield made
    made.close()


def begin(pending: Any, *names: str) -> list[Story]:
    stories = [Story(name) for name in names]
    for story in stories:
        pending.tell(story, Story.tell)
    return stories


def test_an_urgent_step_is_taken_before_stories_that_are_not_begun(pending: Any) -> None:
    first, second, third = begin(pending, "first", "second", "third")
    assert first.begun.wait(10)
    assert second.begun.wait(10)
    urgent = pending.hurry(lambda: third.begun.is_set())
    first.may_end.set()

    assert urgent.result(10) is False
    second.may_end.set()
    third.may_end.set()
    assert [pending.pop().result(10) for _ in range(3)] == ["first", "second", "third"]


def test_a_story_is_told_of_once_and_not_before_those_that_come_first(pending: Any) -> None:
    first, second = begin(pending, "first", "second")
    second.may_end.set()
    pending.wait(10)
    assert list(pending.told()) == []
    assert not pending.is_next_done

    first.may_end.set()
    pending.pop().result(10)
    pending.pop().result(10)
    assert list(pending.told()) == ["first", "second"]
    assert list(pending.told()) == []


def test_stories_that_wait_are_those_that_were_told_of(pending: Any) -> None:
    first, second, third = begin(pending, "first", "second", "third")
    for story in (first, third):
        story.may_end.set()
    while not pending.is_next_done:
        pending.wait(10)
    assert list(pending.waiting()) == []
    assert list(pending.told()) == ["first"]
    assert list(pending.waiting()) == ["first"]

    second.may_end.set()
    assert pending.pop().result(10) == "first"
    assert list(pending.waiting()) == []


def test_it_says_when_there_are_fewer_stories_under_way_than_workers(pending: Any) -> None:
    assert pending.is_short
    first, second = begin(pending, "first", "second")
    assert not pending.is_short
    first.may_end.set()
    pending.pop().result(10)
    assert pending.is_short
    second.may_end.set()


def test_a_step_that_fails_fails_for_who_waits_for_it_alone(pending: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        pending.hurry(lambda: 1 // 0).result(10)
    assert pending.hurry(lambda: 1 // 1).result(10) == 1


def test_traces_without_a_story_are_taken_together(pending: Any) -> None:
    untold = [
        Untold(trace_id=one, digest="", start_time=START, state="skipped", reason="empty") for one in "abc"
    ]
    for one in untold[:2]:
        pending.add(one)
    (story,) = begin(pending, "story")
    pending.add(untold[2])

    assert pending.is_next_done
    assert pending.pop() == untold[:2]
    assert not pending.is_next_done
    story.may_end.set()
    assert pending.pop().result(10) == "story"
    assert pending.pop() == untold[2:]
    assert len(pending) == 0
