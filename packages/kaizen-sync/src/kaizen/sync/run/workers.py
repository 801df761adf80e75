"""The queue between the linking of traces and their commits, in the order of the commits."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kaizen.sync.run.commits import Result
    from kaizen.sync.run.prepare import UnpreparedTrace
    from kaizen.sync.run.stories import LinkedStory

T = TypeVar("T")

_Steps = deque[tuple[Future[Any], "Callable[[], Any]"]]


class _QueuedStory(NamedTuple):
    """A story under way, and the marks by which another version of it is found."""

    result: Future[Result]
    marks: frozenset[str]


class StoryQueue:
    """Stories that worker threads process, and traces without one, in the order in which they came in."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="kaizen-sync")
        self._waiting: deque[_QueuedStory | UnpreparedTrace] = deque()
        self._unreported: deque[Future[Result]] = deque()
        self._ended = threading.Event()
        self._urgent: _Steps = deque()
        self._steps: _Steps = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_next_done(self) -> bool:
        first = self._waiting[0] if self._waiting else None
        return first is not None and (not isinstance(first, _QueuedStory) or first.result.done())

    @property
    def has_idle_workers(self) -> bool:
        """Whether there are fewer stories under way than workers."""
        under_way = sum(isinstance(item, _QueuedStory) and not item.result.done() for item in self._waiting)
        return under_way < self._concurrency

    def submit(self, linked: LinkedStory, process: Callable[[LinkedStory], Result]) -> None:
        """Have a worker process a story as soon as one is free."""
        result = self._submit(lambda: process(linked), self._steps)
        self._waiting.append(_QueuedStory(result, linked.marks))
        self._unreported.append(result)

    def submit_urgent(self, step: Callable[[], T]) -> Future[T]:
        """Have a worker take this step before any story that is not begun."""
        return self._submit(step, self._urgent)

    def add(self, unprepared: UnpreparedTrace) -> None:
        """Add a trace that nothing can be learned from, after the stories before it."""
        self._waiting.append(unprepared)

    def pop(self) -> Future[Result] | list[UnpreparedTrace]:
        """Remove and return the next story, or all traces without one that come before the next story."""
        unprepared: list[UnpreparedTrace] = []
        while self._waiting and not isinstance(first := self._waiting[0], _QueuedStory):
            unprepared.append(first)
            self._waiting.popleft()
        if unprepared:
            return unprepared
        story = self._waiting.popleft()
        assert isinstance(story, _QueuedStory)
        return story.result

    def newly_finished(self) -> Iterator[Result]:
        """Yield the next finished results, each once, as far as all before them are finished."""
        while self._unreported and self._unreported[0].done():
            yield self._unreported.popleft().result()

    def finished(self) -> Iterator[Result]:
        """Yield the results in the queue that `newly_finished` has given."""
        for item in self._waiting:
            if isinstance(item, _QueuedStory):
                if self._unreported and item.result is self._unreported[0]:
                    return
                yield item.result.result()

    def wait(self, timeout_s: float) -> None:
        """Wait until a step ends, but no longer."""
        if self._ended.wait(timeout_s):
            self._ended.clear()

    def overlaps(self, stories: Iterable[LinkedStory]) -> bool:
        """Whether one of these stories may be the same as one under way, which is not in the store yet."""
        looked_for = {mark for linked in stories for mark in linked.looked_for}
        return any(
            isinstance(item, _QueuedStory) and not looked_for.isdisjoint(item.marks) for item in self._waiting
        )

    def clear(self) -> None:
        """Drop everything that waits."""
        self._waiting.clear()
        self._unreported.clear()

    def close(self) -> None:
        """Take no more steps; those under way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, step: Callable[[], T], steps: _Steps) -> Future[T]:
        future: Future[T] = Future()
        future.add_done_callback(lambda _: self._ended.set())
        steps.append((future, step))
        self._executor.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        """Run the most urgent step: there are as many as calls of this."""
        try:
            # Two deques and not a priority queue: popping is atomic, and the order within each is kept.
            future, step = self._urgent.popleft()
        except IndexError:
            future, step = self._steps.popleft()
        try:
            future.set_result(step())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            future.set_exception(error)
