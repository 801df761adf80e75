"""The queue between linked and committing: who is served first, and in which order results are taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.run.prepare import UnpreparedTrace
from kaizen.sync.run.workers import StoryQueue
from tests.support.spans import START

if TYPE_CHECKING:
    from collections.abc import Iterator


class Story:
    """As much of a story as the queue looks at; it is told once it may be."""

    marks = frozenset[str]()

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun, self.may_end = threading.Event(), threading.Event()

    def generate(self) -> str:
        self.begun.set()
        assert self.may_end.wait(10)
        return self.name


@pytest.fixture
def pending() -> Iterator[Any]:
    made = StoryQueue(2)
    yield made
    made.close()


def begin(pending: Any, *names: str) -> list[Story]:
    stories = [Story(name) for name in names]
    for story in stories:
        pending.submit(story, Story.generate)
    return stories


def test_an_urgent_step_is_taken_before_stories_that_are_not_begun(pending: Any) -> None:
    first, second, third = begin(pending, "first", "second", "third")
    assert first.begun.wait(10)
    assert second.begun.wait(10)
    urgent = pending.submit_urgent(lambda: third.begun.is_set())
    first.may_end.set()

    assert urgent.result(10) is False
    second.may_end.set()
    third.may_end.set()
    assert [pending.pop().result(10) for _ in range(3)] == ["first", "second", "third"]


def test_a_story_is_told_of_once_and_not_before_those_that_come_first(pending: Any) -> None:
    first, second = begin(pending, "first", "second")
    second.may_end.set()
    pending.wait(10)
    assert list(pending.newly_finished()) == []
    assert not pending.is_next_done

    first.may_end.set()
    pending.pop().result(10)
    pending.pop().result(10)
    assert list(pending.newly_finished()) == ["first", "second"]
    assert list(pending.newly_finished()) == []


def test_stories_that_wait_are_those_that_were_told_of(pending: Any) -> None:
    first, second, third = begin(pending, "first", "second", "third")
    for story in (first, third):
        story.may_end.set()
    while not pending.is_next_done:
        pending.wait(10)
    assert list(pending.finished()) == []
    assert list(pending.newly_finished()) == ["first"]
    assert list(pending.finished()) == ["first"]

    second.may_end.set()
    assert pending.pop().result(10) == "first"
    assert list(pending.finished()) == []


def test_it_says_when_there_are_fewer_stories_under_way_than_workers(pending: Any) -> None:
    assert pending.has_idle_workers
    first, second = begin(pending, "first", "second")
    assert not pending.has_idle_workers
    first.may_end.set()
    pending.pop().result(10)
    assert pending.has_idle_workers
    second.may_end.set()


def test_a_step_that_fails_fails_for_who_waits_for_it_alone(pending: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        pending.submit_urgent(lambda: 1 // 0).result(10)
    assert pending.submit_urgent(lambda: 1 // 1).result(10) == 1


def test_traces_without_a_story_are_taken_together(pending: Any) -> None:
    unprepared = [
        UnpreparedTrace(trace_id=one, digest="", start_time=START, state="skipped", reason="empty")
        for one in "abc"
    ]
    for one in unprepared[:2]:
        pending.add(one)
    (story,) = begin(pending, "story")
    pending.add(unprepared[2])

    assert pending.is_next_done
    assert pending.pop() == unprepared[:2]
    assert not pending.is_next_done
    story.may_end.set()
    assert pending.pop().result(10) == "story"
    assert pending.pop() == unprepared[2:]
    assert len(pending) == 0
