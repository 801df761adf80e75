"""Syncing again and again: what fails in one round does not end the next."""

from __future__ import annotations

import threading

import pytest

from kaizen.store import StoreError
from kaizen.sync import SettingsError, SourceError, check_watch, watch


def test_a_round_that_fails_is_reported_and_the_next_one_is_tried() -> None:
    stopping = threading.Event()
    errors: list[Exception] = [StoreError("database is locked"), SourceError("no answer")]
    reported: list[Exception] = []
    rounds = iter([*errors, None])

    def sync_once() -> None:
        if error := next(rounds):
            raise error
        stopping.set()

    watch(sync_once, 0.001, stopping=stopping, report_error=reported.append)
    assert reported == errors


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        watch(lambda: 1 // 0, 1, stopping=threading.Event(), report_error=print)  # type: ignore[arg-type, return-value]


def test_an_interval_of_nothing_and_a_dry_run_are_refused() -> None:
    check_watch(0.5)
    with pytest.raises(SettingsError, match="--watch is 0"):
        check_watch(0)
    with pytest.raises(SettingsError, match="--dry-run"):
        check_watch(3, dry_run=True)
