"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def wait_until(
    ready: Callable[[], Value], *, what: str, timeout_s: float = 120.0, every_s: float = 0.05
) -> Value:
    """Call ``ready`` until it returns something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while not (value := ready()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(every_s)
    return value
