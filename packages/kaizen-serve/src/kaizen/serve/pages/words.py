"""Write times, shares and counts for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def when(value: object) -> str:
    """Return a time in UTC, as in `2026-03-04 10:00`; empty if it is none."""
    time = _time(value)
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else ""


def ago(value: object, now: datetime | None = None) -> str:
    """Return how long ago a time was, in its greatest unit."""
    time = _time(value)
    if time is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - time).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"


def _time(value: object) -> datetime | None:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time.astimezone(UTC)


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
