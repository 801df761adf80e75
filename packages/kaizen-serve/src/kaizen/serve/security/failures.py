"""Count wrong tokens by the address that they come from."""

from __future__ import annotations

import time
from collections import OrderedDict, deque

MOST = 10
WITHIN_S = 60.0
_MOST_ADDRESSES = 10_000


class Failures:
    """Remember the wrong tokens of the last minute. Right ones are never counted and never refused."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> bool:
        """Return whether the address has sent too many."""
        now = time.monotonic()
        times = self._by_address.setdefault(address, deque(maxlen=MOST + 1))
        self._by_address.move_to_end(address)
        if len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        times.append(now)
        return len(times) > MOST and now - times[0] < WITHIN_S
