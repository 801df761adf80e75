"""Make new ids: UUIDv7, so that ids sort by time. The standard library has none before Python 3.14."""

from __future__ import annotations

import os
import threading
import time

_TAIL_BITS = 74
# So large that ids of one millisecond differ in their first 20 characters, which people type.
_STEP_BITS = 64
_AFTER_BITS = 32
_lock = threading.Lock()
_last = 0


def uuid7(*, after: str | None = None) -> str:
    """Make a UUIDv7 (RFC 9562 section 5.7), greater than `after` and than every one made without `after`.

    Within one millisecond, and while the clock runs behind, the random part grows by random steps
    (section 6.2, method 2). An `after` that is not a UUIDv7 is ignored.
    """
    made = _next()
    least = None if after is None else _parsed(after)
    # A small step: it must leave neither the millisecond of an id from a clock ahead nor the range of ids.
    return _layout(made if least is None or made > least else least + 1 + _random(_AFTER_BITS))


def _next() -> int:
    global _last
    milliseconds = time.time_ns() // 1_000_000
    with _lock:
        if milliseconds > _last >> _TAIL_BITS:
            _last = milliseconds << _TAIL_BITS | _random(_TAIL_BITS - 1)
        else:
            _last += 1 + _random(_STEP_BITS)
        return _last


def _random(bits: int) -> int:
    return int.from_bytes(os.urandom(16), "big") >> (128 - bits)


def _layout(value: int) -> str:
    unix_ts_ms, rand_a, rand_b = value >> 74, value >> 62 & 0xFFF, value & (1 << 62) - 1
    digits = f"{unix_ts_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _parsed(text: str) -> int | None:
    """Return the bits that `_layout` wrote as this text; None for any other text."""
    try:
        number = int(text.replace("-", ""), 16)
    except ValueError:
        return None
    value = number >> 80 << _TAIL_BITS | (number >> 64 & 0xFFF) << 62 | number & (1 << 62) - 1
    room_left = value + (1 << _AFTER_BITS + 1) < 1 << 48 + _TAIL_BITS
    return value if room_left and _layout(value) == text else None
