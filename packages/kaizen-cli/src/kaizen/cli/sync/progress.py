"""Progress of a sync on stderr: a live display on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from kaizen.cli.output import counted, priced, print_note

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from kaizen.sync import Report

_EVERY_S = 10.0
# Before that, the guess of the time left jumps about.
_SMALLEST_SHARE = 0.02
# Traces come in quick succession while they are read; what takes longer is a model's answer.
_READING_S = 1.0


class SyncProgress:
    """Shows a report while it grows; with `quiet` it shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Live | None = None
        self._report: Report | None = None
        self._said_at = time.monotonic()
        self._read = 0
        self._read_at = 0.0

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.live import Live
            from rich.spinner import Spinner

            from kaizen.cli.drawing import console

            self._spinner = Spinner("dots")
            self._live = Live(
                get_renderable=self._drawn, console=console(sys.stderr), refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, report: Report) -> None:
        """Show this report from now on; a live display looks at it by itself."""
        self._report = report

    def update(self, report: Report) -> None:
        """Show the report if it is time to."""
        self._report = report
        now = time.monotonic()
        if self._live is None and not self._quiet and now - self._said_at >= _EVERY_S:
            self._said_at = now
            print_note(f"{self.stage(report)}: {_line(report)}")

    def stage(self, report: Report) -> str:
        """Return what the sync is doing now."""
        now = time.monotonic()
        if report.traces_read != self._read:
            self._read, self._read_at = report.traces_read, now
        if not report.traces_read:
            return "Selecting traces"
        if report.processed.total() >= report.traces_read:
            return "Committing"
        return "Reading traces" if now - self._read_at < _READING_S else "Asking the model"

    def _drawn(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        report = self._report
        head = Table.grid(padding=(0, 1))
        head.add_row(self._spinner, Text("Selecting traces" if report is None else self.stage(report)))
        drawn = Table.grid()
        drawn.add_row(head)
        if report is not None and report.traces_read:
            if report.share is not None:
                head.add_column()
                head.add_row("", ProgressBar(total=1.0, completed=report.share, width=40))
            drawn.add_row(Text("  " + _line(report)))
        return drawn


def _line(report: Report) -> str:
    states = ", ".join(f"{n} {state}" for state, n in sorted(report.states.items()) if n) or "none yet"
    took_s = (datetime.now(UTC) - report.started_at).total_seconds()
    return (
        f"{counted(report.traces, 'trace')}: {states}; "
        f"{report.processed.total() / max(took_s, 0.001):.1f} a second, "
        f"{counted(report.tips['created'], 'new tip')}, {counted(report.model_calls, 'model call')}, "
        f"{counted(report.prompt_tokens + report.completion_tokens, 'token')}, {priced(report.cost_usd)}"
        f"{_left(report.share, took_s)}"
    )


def _left(share: float | None, took_s: float) -> str:
    """Return about how long it goes on at this pace; nothing if that is anybody's guess."""
    if share is None or share < _SMALLEST_SHARE:
        return ""
    left_s = took_s * (1 - share) / share
    for unit, seconds in (("h", 3600), ("min", 60)):
        if left_s >= 1.5 * seconds:
            return f"; about {left_s / seconds:.0f} {unit} left"
    return f"; about {left_s:.0f} s left"
