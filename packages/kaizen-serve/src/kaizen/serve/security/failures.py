"""Count wrong tokens by the address that they come from."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import NoReturn

from kaizen.serve.errors import TooManyError, UnauthorizedError

MOST = 10
WITHIN_S = 60.0
_MOST_ADDRESSES = 10_000


class Failures:
    """Remember the wrong tokens of the last minute. Right ones are never counted and never refused."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def refuse(self, address: str) -> NoReturn:
        """Count a wrong token of the address. Raises `TooManyError` after some, else `UnauthorizedError`."""
        if self._is_one_too_many(address):
            raise TooManyError("too many wrong tokens: wait a minute")
        raise UnauthorizedError("this token is not known here")

    def _is_one_too_many(self, address: str) -> bool:
        now = time.monotonic()
        times = self._by_address.setdefault(address, deque(maxlen=MOST + 1))
        self._by_address.move_to_end(address)
        if len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        times.append(now)
        return len(times) > MOST and now - times[0] < WITHIN_S
