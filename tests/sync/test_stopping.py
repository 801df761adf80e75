"""A flag that signal handlers set."""

from __future__ import annotations

import signal
import threading
import time

from kaizen.sync.stopping import StopFlag


def test_a_signal_handler_may_set_it_whatever_the_thread_is_doing() -> None:
    """With `threading.Event` this ends in a handler that waits for the thread it interrupted."""
    flag, calls = StopFlag(), 0

    def handle(*_: object) -> None:
        nonlocal calls
        calls += 1
        flag.set()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            flag.clear()
            flag.wait(0.0001)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls


def test_waiting_ends_when_it_is_set_or_the_time_is_over() -> None:
    flag = StopFlag()
    assert not flag.wait(0.01)
    threading.Timer(0.05, flag.set).start()
    assert flag.wait()
    assert flag.is_set()
