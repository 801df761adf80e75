"""Keep what was read from a namespace until the namespace changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kaizen.store import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kaizen.store import Store

_log = logging.getLogger("kaizen.serve")

T = TypeVar("T")

# A version is asked for so often. After a pause of `_AWAITED_S` whoever asks waits for the answer; else the
# known value is given at once.
_ASKED_S = 0.5
_AWAITED_S = 5.0
# At most a twentieth of the time is spent on reading anew, however often the namespace changes.
_REST = 20.0
_MOST_VALUES = 64

Reader = Callable[["Store", str], T]
Run = Callable[..., "Awaitable[Any]"]


class Cached(Generic[T]):
    """One value of one namespace. It is read by one request at a time, while others get the known one."""

    def __init__(self, store: Store, namespace_id: str, read: Reader[T], run: Run) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._read = read
        self._run = run
        self._lock = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._value: T | None = None
        self._version = -1
        self._asked_at = self._read_at = float("-inf")
        self._is_expired = False
        self._took_s = 0.0

    async def get(self) -> T:
        age = time.monotonic() - self._asked_at
        if self._value is None or self._is_expired or age > _AWAITED_S:
            await self._refresh()
        elif age > _ASKED_S and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(_told)
        assert self._value is not None
        return self._value

    def expire(self) -> None:
        """Let the next request wait for what the namespace is then."""
        self._is_expired = True

    async def _refresh(self) -> None:
        asked_before = self._asked_at
        async with self._lock:
            # Whoever had the lock before has asked.
            if self._asked_at != asked_before and not self._is_expired:
                return
            try:
                await self._read_if_changed()
            except UnavailableError as error:
                if self._value is None:
                    raise
                _log.warning("what was read before is served: %s", error)

    async def _read_if_changed(self) -> None:
        is_expired, self._is_expired = self._is_expired, False
        namespace = await self._run(self._store.get_namespace, self._namespace_id)
        began = time.monotonic()
        self._asked_at = began
        is_due = is_expired or began - self._read_at > _REST * self._took_s
        if self._value is None or (namespace.version != self._version and is_due):
            self._value = await self._run(self._read, self._store, self._namespace_id)
            self._version, self._read_at = namespace.version, time.monotonic()
            self._took_s = self._read_at - began


class Cache:
    """Values by namespace and by the function that reads them; those that nobody asks for are dropped."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._values: OrderedDict[tuple[str, Reader[Any]], Cached[Any]] = OrderedDict()

    async def get(self, namespace_id: str, read: Reader[T]) -> T:
        """Return what `read` returned for the namespace as it is, or was a moment ago."""
        key = (namespace_id, read)
        cached: Cached[T] = self._values.get(key) or Cached(self._store, namespace_id, read, self._run)
        self._values[key] = cached
        self._values.move_to_end(key)
        if len(self._values) > _MOST_VALUES:
            self._values.popitem(last=False)
        try:
            return await cached.get()
        except Exception:
            # Such as that of a namespace that there is not.
            self._values.pop(key, None)
            raise

    def expire(self) -> None:
        """Let each be asked for anew: this process has changed something."""
        for cached in self._values.values():
            cached.expire()


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.warning("it cannot be read again: %s", error)
