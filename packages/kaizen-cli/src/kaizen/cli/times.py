"""Spans and points of time as people write them on a command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import typer

from kaizen.sync import SettingsError
from kaizen.sync import parse_duration as read_duration


def parse_duration(text: str, *, at_least_s: float = 0.0) -> float:
    """Return the seconds of `30`, `30s`, `5m`, `2h30m` or `7d`."""
    try:
        return read_duration(text, at_least_s=at_least_s)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def parse_time(text: str, now: datetime) -> datetime:
    """A time in ISO 8601, local where it names no zone, or a duration before now."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=parse_duration(text))
    # The second is for a date before the year 1.
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"'{text}' is no time; write it like 2026-05-31, 2026-05-31T12:00Z, or 2h for two hours ago"
        ) from None


def local_time(at: datetime | str) -> str:
    """Return a time as people read it: local, to the second, with its zone."""
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        # What is stored is shown, also if it is not a time.
        return str(at)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
