"""How far long work is, on stderr: a live line on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from kaizen.cli.output import print_note

if TYPE_CHECKING:
    from rich.status import Status

EVERY_S = 5.0


class Ticker:
    """Shows what it is told, at most every few seconds; with `quiet` nothing at all.

    Within `with ticker:`, `start` begins a live line on a terminal.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        # As if something had just been said: short work says nothing.
        self._said_at = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def start(self, text: str) -> None:
        """Show at once, on a terminal, what is being done."""
        if not self._quiet and sys.stderr.isatty():
            from rich.text import Text

            from kaizen.cli.drawing import console

            self._status = console(sys.stderr).status(Text(text))
            self._status.start()

    def say(self, text: str) -> None:
        now = time.monotonic()
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(text))
        elif not self._quiet and now - self._said_at >= EVERY_S:
            self._said_at = now
            print_note(text)
