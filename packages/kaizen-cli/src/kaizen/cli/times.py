"""Spans and points of time as people write them on a command line."""

from __future__ import annotations

from datetime import datetime, timedelta

import typer

from kaizen.sync import durations
from kaizen.sync.errors import SettingsError


def parse_duration(text: str, *, at_least_s: float = 0.0) -> float:
    """Return the seconds of `30`, `30s`, `5m`, `2h30m` or `7d`."""
    try:
        return durations.parse_duration(text, at_least_s=at_least_s)
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
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"'{text}' is no time; write it like 2026-05-31, 2026-05-31T12:00Z, or 2h for two hours ago"
        ) from None
