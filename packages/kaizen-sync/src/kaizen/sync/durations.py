"""Durations as people write them: `90`, `30s`, `5m`, `2h30m`, `7d`."""

from __future__ import annotations

import re

from kaizen.sync.errors import SettingsError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PART = r"(\d+(?:\.\d+)?)([smhd])"
# A hundred years: what is longer is a slip, and no date can be computed with it.
_LONGEST_S = 36_525 * 86_400.0


def parse_duration(text: str, *, at_least_s: float = 0.0, at_most_s: float = _LONGEST_S) -> float:
    """Return the seconds of a duration; a number without a unit is seconds.

    Raises `SettingsError` for what is not a duration, and for one outside the bounds.
    """
    written = text.strip()
    # ASCII only: `\d` matches the digits of every script.
    if re.fullmatch(r"\d+(?:\.\d+)?", written, re.ASCII):
        seconds = float(written)
    elif re.fullmatch(f"(?:{_PART})+", written, re.ASCII):
        seconds = sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, written, re.ASCII))
    else:
        raise SettingsError(f"'{text}' is not a duration; write it like 30s, 5m, 2h30m or 7d")
    if seconds < at_least_s:
        raise SettingsError(f"'{text}' is too short; write {format_duration(at_least_s)} or more")
    if seconds > at_most_s:
        raise SettingsError(f"'{text}' is too long; write {format_duration(at_most_s)} or less")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in the largest unit that divides it."""
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}"
