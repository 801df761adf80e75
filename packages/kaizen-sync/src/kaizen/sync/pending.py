"""What is under way between the linking of traces and their commits, in the order of the commits."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from kaizen.sync.linking import Telling
    from kaizen.sync.planning import Result
    from kaizen.sync.reading import Untold


class _Told(NamedTuple):
    """A story under way, and what others that may be the same one look for."""

    result: Future[Result]
    marks: frozenset[str]


class Pending:
    """Stories that worker threads tell, and traces without one, which are taken in the order they came in."""

    def __init__(self, concurrency: int) -> None:
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix="kaizen-sync")
        self._steps: deque[_Told | Untold] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def is_next_done(self) -> bool:
        next_ = self._steps[0] if self._steps else None
        return next_ is not None and (not isinstance(next_, _Told) or next_.result.done())

    def tell(self, telling: Telling, tell: Callable[[Telling], Result]) -> None:
        """Have a story told as soon as a worker is free."""
        self._steps.append(_Told(self._executor.submit(tell, telling), telling.marks))

    def add(self, untold: Untold) -> None:
        """Add a trace that nothing can be learned from."""
        self._steps.append(untold)

    def pop(self) -> Future[Result] | list[Untold]:
        """The next to take: a story, or all traces without one that come before the next story."""
        untold: list[Untold] = []
        while self._steps and not isinstance(next_ := self._steps[0], _Told):
            untold.append(next_)
            self._steps.popleft()
        if untold:
            return untold
        told = self._steps.popleft()
        assert isinstance(told, _Told)
        return told.result

    def concerns(self, tellings: Iterable[Telling]) -> bool:
        """Whether one of these stories may be the same as one under way, which is not in the store yet."""
        looked_for = {mark for telling in tellings for mark in telling.looked_for}
        return any(isinstance(one, _Told) and not looked_for.isdisjoint(one.marks) for one in self._steps)

    def close(self) -> None:
        """Take no more steps; those under way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)
