"""What is under way between the linking of traces and their commits, in the order of the commits."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen.sync.linking import Telling
    from kaizen.sync.planning import Result
    from kaizen.sync.reading import Untold

_Step = Future["Result | Untold"]


class Pending:
    """Steps that worker threads take, and whose results are taken in the order in which they were added."""

    def __init__(self, concurrency: int) -> None:
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="kaizen-sync")
        self._steps: deque[tuple[_Step, frozenset[str]]] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def is_next_done(self) -> bool:
        return bool(self._steps) and self._steps[0][0].done()

    def add(self, step: Callable[[], Result | Untold], telling: Telling | None) -> None:
        """Start a step as soon as a worker is free; `telling` is the story that it is about."""
        marks = telling.marks if telling else frozenset()
        self._steps.append((self._executor.submit(step), marks))

    def pop(self) -> _Step:
        """The next result to take."""
        return self._steps.popleft()[0]

    def concerns(self, tellings: Iterable[Telling]) -> bool:
        """Whether one of these stories may be the same as one under way, which is not in the store yet."""
        looked_for = {mark for telling in tellings for mark in telling.looked_for}
        return any(not looked_for.isdisjoint(marks) for _, marks in self._steps)

    def close(self) -> None:
        """Take no more steps; those under way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)
