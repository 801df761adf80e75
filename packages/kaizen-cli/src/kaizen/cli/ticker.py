"""How far long work is, on stderr: nothing where it is short, then a line now and then."""

from __future__ import annotations

import time

from kaizen.cli.output import print_note

EVERY_S = 5.0


class Ticker:
    """Says what it is told, at most every few seconds; with `quiet` nothing at all."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said_at = time.monotonic()

    def say(self, text: str) -> None:
        now = time.monotonic()
        if not self._quiet and now - self._said_at >= EVERY_S:
            self._said_at = now
            print_note(text)
