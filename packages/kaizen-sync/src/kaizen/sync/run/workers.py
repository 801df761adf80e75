"""What is under way between the linking of traces and their commits, in the order of the commits."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kaizen.sync.run.commits import Result
    from kaizen.sync.run.prepare import Untold
    from kaizen.sync.run.stories import Telling

T = TypeVar("T")

_Steps = deque[tuple[Future[Any], "Callable[[], Any]"]]


class _Told(NamedTuple):
    """A story under way, and what others that may be the same one look for."""

    result: Future[Result]
    marks: frozenset[str]


class Pending:
    """Stories that worker threads tell, and traces without one, which are taken in the order they came in."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="kaizen-sync")
        self._waiting: deque[_Told | Untold] = deque()
        self._unheard: deque[Future[Result]] = deque()
        self._ended = threading.Event()
        self._urgent: _Steps = deque()
        self._steps: _Steps = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_next_done(self) -> bool:
        first = self._waiting[0] if self._waiting else None
        return first is not None and (not isinstance(first, _Told) or first.result.done())

    @property
    def is_short(self) -> bool:
        """Whether there are fewer stories under way than workers."""
        under_way = sum(isinstance(one, _Told) and not one.result.done() for one in self._waiting)
        return under_way < self._concurrency

    def tell(self, telling: Telling, tell: Callable[[Telling], Result]) -> None:
        """Have a story told as soon as a worker is free."""
        result = self._start(lambda: tell(telling), self._steps)
        self._waiting.append(_Told(result, telling.marks))
        self._unheard.append(result)

    def hurry(self, step: Callable[[], T]) -> Future[T]:
        """Have a worker take this step before any story that is not begun."""
        return self._start(step, self._urgent)

    def add(self, untold: Untold) -> None:
        """Add a trace that nothing can be learned from."""
        self._waiting.append(untold)

    def pop(self) -> Future[Result] | list[Untold]:
        """The next to take: a story, or all traces without one that come before the next story."""
        untold: list[Untold] = []
        while self._waiting and not isinstance(first := self._waiting[0], _Told):
            untold.append(first)
            self._waiting.popleft()
        if untold:
            return untold
        told = self._waiting.popleft()
        assert isinstance(told, _Told)
        return told.result

    def told(self) -> Iterator[Result]:
        """The next stories that are told, each once, as far as all before them are."""
        while self._unheard and self._unheard[0].done():
            yield self._unheard.popleft().result()

    def waiting(self) -> Iterator[Result]:
        """The next stories to take that `told` has given."""
        for one in self._waiting:
            if isinstance(one, _Told):
                if self._unheard and one.result is self._unheard[0]:
                    return
                yield one.result.result()

    def wait(self, timeout_s: float) -> None:
        """Wait until a step ends, but no longer."""
        if self._ended.wait(timeout_s):
            self._ended.clear()

    def concerns(self, tellings: Iterable[Telling]) -> bool:
        """Whether one of these stories may be the same as one under way, which is not in the store yet."""
        looked_for = {mark for telling in tellings for mark in telling.looked_for}
        return any(isinstance(one, _Told) and not looked_for.isdisjoint(one.marks) for one in self._waiting)

    def close(self) -> None:
        """Take no more steps; those under way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self, step: Callable[[], T], steps: _Steps) -> Future[T]:
        future: Future[T] = Future()
        future.add_done_callback(lambda _: self._ended.set())
        steps.append((future, step))
        self._executor.submit(self._take)
        return future

    def _take(self) -> None:
        """Take the most urgent step: there are as many as calls of this."""
        try:
            future, step = self._urgent.popleft()
        except IndexError:
            future, step = self._steps.popleft()
        try:
            future.set_result(step())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            future.set_exception(error)
