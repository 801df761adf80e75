"""Spans and points of time as people write them on a command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import typer

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str) -> float:
    """Seconds of `30`, `30s`, `5m`, `2h` or `7d`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not found:
        raise typer.BadParameter(f"'{text}' is no duration; write it like 30s, 5m, 2h or 7d")
    return float(found[1]) * _UNITS[found[2]]


def parse_time(text: str, now: datetime) -> datetime:
    """A time in ISO 8601, local where it names no zone, or a duration before now."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=parse_duration(text))
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"'{text}' is no time; write it like 2026-05-31, 2026-05-31T12:00Z, or 2h for two hours ago"
        ) from None


def local_time(at: datetime | str) -> str:
    """Return a time as people read it: local, to the second, with its zone."""
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return str(at)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
