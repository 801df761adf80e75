"""The queue between the agent and the collector, and the thread that empties it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from kaizen.auto.pipeline.export import Outcome
from kaizen.auto.pipeline.forking import call_in_child
from kaizen.auto.pipeline.pool import send_before_results

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen.auto.pipeline.export import Sender

logger = logging.getLogger("kaizen.auto")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class BatchQueue(SpanProcessor):
    """Take finished spans at no cost to the agent, and send them in batches from a daemon thread.

    Bounded: when full, the oldest span is dropped and counted. After a failure nothing is attempted for a
    while (1 s, doubling up to 30 s); spans that the collector did not get stay queued meanwhile. The thread
    starts with the first span, so a process that calls no model, and the child of a fork, has none.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        queue_size: int,
        batch_size: int,
        delay_s: float,
        before_exit: Callable[[], None] | None = None,
    ) -> None:
        self._sender = sender
        self._queue_size = queue_size
        self._batch_size = batch_size
        self._delay_s = delay_s
        self._before_exit = before_exit or self.shutdown
        self.last_error: str | None = None
        self._reset()
        call_in_child(self._after_fork)

    def _reset(self) -> None:
        # Re-entrant: a signal handler or a finalizer may end a span while this thread is in here.
        self._changed = threading.Condition(threading.RLock())
        self._spans: deque[ReadableSpan] = deque()
        self._thread: threading.Thread | None = None
        self._in_flight = 0
        self._flush_asked = self._flush_done = 0
        self._stopped = False
        self._pause_s = 0.0
        self._paused_until = 0.0
        self._lost_in_outage = 0
        self.sent = self.dropped = self.failed = 0

    def _after_fork(self) -> None:
        # The parent sends what was queued; locks and sockets that another thread held are unusable here.
        self._reset()
        self._sender.after_fork()

    @property
    def queued(self) -> int:
        return len(self._spans) + self._in_flight

    @property
    def in_outage(self) -> bool:
        """Return whether the last attempt to send failed."""
        return self._pause_s > 0

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._changed:
            if self._stopped:
                self.dropped += 1
                return
            self._make_room(1)
            self._spans.append(span)
            if self._thread is None:
                self._start_thread()
            if len(self._spans) == 1 or len(self._spans) >= self._batch_size:
                self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Send everything that is queued now; return whether the queue was emptied in time."""
        with self._changed:
            if not self.queued:
                return True
            if self._thread is not None and self._thread.is_alive():
                self._flush_asked += 1
                asked = self._flush_asked
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._flush_done >= asked, max(0.0, timeout_s))
                return not self.queued
        self._drain(everything=True, deadline=time.monotonic() + timeout_s)
        return not self.queued

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        self.flush(2.0)
        self.stop()

    def stop(self) -> None:
        """Take no more spans, and drop those that are left."""
        with self._changed:
            self._stopped = True
            self.dropped += len(self._spans)
            self._spans.clear()
            self._changed.notify_all()

    def _make_room(self, count: int) -> None:
        while self._spans and len(self._spans) + count > self._queue_size:
            self._spans.popleft()
            self.dropped += 1
            self._lost_in_outage += 1

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="kaizen-auto-export", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            # No more threads for this process: spans wait for another try, or for the flush at exit.
            logger.debug("The export thread does not start: %r", exc)
            return
        self._thread = thread
        _run_at_multiprocessing_exit(self._before_exit)
        send_before_results(lambda timeout_s: self.in_outage or self.flush(timeout_s))

    def _run(self) -> None:
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while True:
            with self._changed:
                self._wait_for_work()
                if self._stopped:
                    return
                asked = self._flush_asked
                flushing = asked > self._flush_done
            self._drain(everything=flushing)
            with self._changed:
                self._flush_done = asked
                self._changed.notify_all()

    def _wait_for_work(self) -> None:
        """Return when a batch is full, the delay is over, a flush is asked for, or the queue is stopped."""
        deadline = 0.0
        while not self._stopped and self._flush_asked == self._flush_done:
            now = time.monotonic()
            if not self._spans:
                deadline = 0.0
                self._changed.wait()
                continue
            deadline = deadline or now + self._delay_s
            ready_at = max(now if len(self._spans) >= self._batch_size else deadline, self._paused_until)
            if ready_at <= now:
                return
            self._changed.wait(ready_at - now)

    def _drain(self, *, everything: bool, deadline: float | None = None) -> None:
        """Send batches: all of them or the full ones, until the collector fails or the deadline."""
        while deadline is None or time.monotonic() < deadline:
            with self._changed:
                count = min(self._batch_size, len(self._spans))
                batch = [self._spans.popleft() for _ in range(count)]
                self._in_flight = count
            if not batch:
                return
            try:
                outcome = self._sender.send(batch)
            except Exception as exc:  # noqa: BLE001 - one batch must not end the thread
                outcome = Outcome(delivered=False, may_retry=False, error=f"{type(exc).__name__}: {exc}")
            self._account(batch, outcome)
            if not outcome.delivered or (not everything and len(self._spans) < self._batch_size):
                return

    def _account(self, batch: list[ReadableSpan], outcome: Outcome) -> None:
        """Count the spans of a batch by its outcome, and log when an outage begins and ends."""
        with self._changed:
            self._in_flight = 0
            was_paused, lost = self.in_outage, self._lost_in_outage
            if outcome.delivered:
                self.sent += len(batch)
                self._pause_s, self._lost_in_outage = 0.0, 0
            else:
                self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
                self._paused_until = time.monotonic() + self._pause_s
                self.last_error = outcome.error
                if outcome.may_retry:
                    self._put_back(batch)
                else:
                    self.failed += len(batch)
                    self._lost_in_outage += len(batch)
        if outcome.delivered and was_paused:
            logger.warning("Spans are sent again; %d were lost meanwhile", lost)
        elif not outcome.delivered and not was_paused:
            logger.warning("Spans cannot be sent: %s. The agent goes on; trying later", outcome.error)

    def _put_back(self, batch: list[ReadableSpan]) -> None:
        room = max(0, self._queue_size - len(self._spans))
        kept = batch[len(batch) - min(room, len(batch)) :]
        self.dropped += len(batch) - len(kept)
        self._lost_in_outage += len(batch) - len(kept)
        self._spans.extendleft(reversed(kept))


def _run_at_multiprocessing_exit(function: Callable[[], None]) -> None:
    """Call the function when a child of multiprocessing ends: by os._exit, past atexit."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, function, exitpriority=0)
