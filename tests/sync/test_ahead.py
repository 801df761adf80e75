"""Questions that are asked before it is their turn, and the queue whose workers ask them."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.ahead import Ahead, Answered
from kaizen.sync.answers import DecisionsAnswer
from kaizen.sync.pending import Pending
from kaizen.sync.reading import Untold
from tests.support.spans import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NONE = DecisionsAnswer(decisions=[])


class Asking:
    """Answers at once, and keeps what it was asked."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def ask(self, question: str) -> DecisionsAnswer:
        self.questions.append(question)
        return NONE

    def start(self, step: Callable[[], Answered]) -> Future[Answered]:
        future: Future[Answered] = Future()
        future.set_result(step())
        return future


def test_an_answer_is_for_the_very_question() -> None:
    asking = Asking()
    ahead = Ahead(asking.ask, asking.start, most=8)

    ahead.ask("a", "one?")
    ahead.ask("a", "another?")
    ahead.ask("b", "two?")
    ahead.ask("c", "")

    for story, question in (("a", "one?"), ("b", "two, and three?"), ("c", "three?")):
        answer = ahead.answer(story, question)
        assert answer is not None
        assert answer.result() == Answered(question, NONE)
    assert asking.questions == ["one?", "two?", "two, and three?", "three?"]
    assert ahead.answer("a", "one?") is not None, "each answer is given once"
    assert ahead.answer("d", "") is None


def test_how_far_it_looks_is_halved_by_each_miss_and_doubled_by_each_hit() -> None:
    asking = Asking()
    ahead = Ahead(asking.ask, asking.start, most=8)
    windows = []
    for foreseen in ("x", "x", "", "?", "x", "x", "x", "?", "?", "?", "?"):
        ahead.ask("story", foreseen)
        ahead.answer("story", "?")
        windows.append(ahead.window)

    assert windows == [4, 2, 2, 4, 2, 1, 1, 2, 4, 8, 8]


def test_a_story_that_has_nothing_to_ask_any_more_was_asked_for_in_vain() -> None:
    asking = Asking()
    ahead = Ahead(asking.ask, asking.start, most=8)
    ahead.ask("story", "?")

    assert ahead.answer("story", "") is None
    assert ahead.window == 4


@pytest.fixture
def pending() -> Iterator[Pending]:
    made = Pending(1)
    yield made
    made.close()


def test_an_urgent_step_is_taken_before_stories_that_are_not_begun(pending: Pending) -> None:
    taken: list[Any] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go_on.wait(10)

    under_way = pending.hurry(first)
    assert begun.wait(10)
    later = pending._start(lambda: taken.append("story"), pending._steps)
    urgent = pending.hurry(lambda: taken.append("urgent"))
    go_on.set()
    for future in (under_way, later, urgent):
        future.result(10)

    assert taken == ["urgent", "story"]


def test_a_step_that_fails_fails_for_who_waits_for_it_alone(pending: Pending) -> None:
    with pytest.raises(ZeroDivisionError):
        pending.hurry(lambda: 1 // 0).result(10)
    assert pending.hurry(lambda: 1 // 1).result(10) == 1


def test_traces_without_a_story_are_taken_together(pending: Pending) -> None:
    untold = [
        Untold(trace_id=one, digest="", start_time=START, state="skipped", reason="empty") for one in "abc"
    ]
    for one in untold:
        pending.add(one)

    assert pending.is_next_done
    assert list(pending.told()) == []
    assert pending.pop() == untold
    assert not pending.is_next_done
    assert len(pending) == 0
