"""Decide how long to wait before another attempt: tenacity backs off, but does not read Retry-After."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tenacity


def wait_s(
    state: tenacity.RetryCallState,
    retry_after: str | None,
    *,
    longest_asked_s: float,
    first_s: float,
    longest_s: float,
    jitter_s: float,
) -> float:
    """Return what Retry-After asks for (RFC 9110 section 10.2.3), else exponential backoff with jitter."""
    import tenacity

    asked = retry_after_s(retry_after, time.time)
    if asked is not None:
        return min(asked, longest_asked_s)
    # With jitter, since all threads of a sync fail at the same moment.
    backoff = tenacity.wait_exponential(multiplier=first_s, max=longest_s)
    return (backoff + tenacity.wait_random(0, jitter_s))(state)


def retry_after_s(value: str | None, now: Callable[[], float]) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, as a number or as an HTTP date."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except (ValueError, OverflowError):
        return None
