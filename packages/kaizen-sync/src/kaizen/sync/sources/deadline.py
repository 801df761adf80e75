"""A time limit for whole HTTP requests.

httpx limits each read from the network, so that a server which sends a byte now and then is never given up.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

_SLICE_S = 0.5


class Deadline:
    """Ends each request of an httpx client at its read timeout, counted from when it was sent.

    Safe for threads, and `hurry` for signal handlers: it takes no lock.
    """

    def __init__(self) -> None:
        # A request stays in one thread from its start to its end.
        self._requests = threading.local()
        self._last = math.inf

    def apply(self, client: httpx.Client) -> None:
        """Hold the client to the limit, whatever proxy it goes through."""
        client.event_hooks["request"].append(self._start)
        for transport in (client._transport, *filter(None, client._mounts.values())):
            # Neither httpx nor httpcore has a public way to set what a connection is made with.
            pool: Any = transport._pool  # type: ignore[attr-defined]
            pool._network_backend = _Backend(pool._network_backend, self)

    def hurry(self, grace_s: float) -> None:
        """End every request after that many seconds at the latest, from now on."""
        self._last = min(self._last, time.monotonic() + grace_s)

    def left_s(self) -> float:
        """Return the time that the request of this thread has left."""
        return min(getattr(self._requests, "end", math.inf), self._last) - time.monotonic()

    def _start(self, request: httpx.Request) -> None:
        timeout_s = request.extensions.get("timeout", {}).get("read")
        self._requests.end = math.inf if timeout_s is None else time.monotonic() + timeout_s


class _Backend:
    """A network backend of httpcore whose connections keep a deadline."""

    def __init__(self, backend: Any, deadline: Deadline) -> None:
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(*args, **kwargs), self._deadline)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A connection of httpcore that keeps a deadline."""

    def __init__(self, stream: Any, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        import httpcore

        while (left_s := self._deadline.left_s()) > 0:
            # In slices, since the deadline may come nearer meanwhile.
            try:
                data: bytes = self._stream.read(max_bytes, timeout=min(left_s, _SLICE_S))
                return data
            except httpcore.ReadTimeout:
                continue
        raise httpcore.ReadTimeout("the request took too long")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._stream.start_tls(*args, **kwargs), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
