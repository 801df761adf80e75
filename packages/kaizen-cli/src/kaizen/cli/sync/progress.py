"""Progress of a sync on stderr: a live line on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from kaizen.cli.output import print_note

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status

    from kaizen.sync import Report

_EVERY_S = 10.0
_TELLING_SHARE = 0.02


class SyncProgress:
    """Shows a report while it grows; with `quiet` it shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("Reading the index of traces ...")
            self._status.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def update(self, report: Report) -> None:
        now = time.monotonic()
        if self._status is not None:
            self._status.update(_line(report))
        elif not self._quiet and now - self._said_at >= _EVERY_S:
            self._said_at = now
            print_note(_line(report))


def _line(report: Report) -> str:
    states = ", ".join(f"{n} {state}" for state, n in sorted(report.states.items()) if n)
    done = report.processed.total()
    took_s = (datetime.now(UTC) - report.started_at).total_seconds()
    cost = "price unknown" if report.cost_usd is None else f"{report.cost_usd:.4f} USD"
    tokens = report.prompt_tokens + report.completion_tokens
    return (
        f"{report.traces} traces: {states}; {done / max(took_s, 0.001):.1f} a second, "
        f"{report.tips['created']} new tips, {report.model_calls} model calls, {tokens:,} tokens, {cost}"
        f"{_left(report.share, took_s)}"
    )


def _left(share: float | None, took_s: float) -> str:
    """How long it goes on if it goes on like that; nothing where that is anybody's guess."""
    if share is None or share < _TELLING_SHARE:
        return ""
    left_s = took_s * (1 - share) / share
    for unit, seconds in (("h", 3600), ("min", 60)):
        if left_s >= 1.5 * seconds:
            return f"; about {left_s / seconds:.0f} {unit} left"
    return f"; about {left_s:.0f} s left"
