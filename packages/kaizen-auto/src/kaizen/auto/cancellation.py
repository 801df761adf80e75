"""Ends the spans of calls that were cancelled or interrupted as the errors they are.

Covers openinference-instrumentation-openai 0.1.45, which leaves the span of a cancelled call open, and
openinference-instrumentation-litellm from 0.1.51, which ends it without a status: both look out for
`Exception` only. To be dropped once the oldest versions that are admitted record a cancelled call themselves.
"""

from __future__ import annotations

from contextlib import suppress

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode


class CallSpan:
    """The span that an instrumentor makes for one guarded call, found while the call runs."""

    __slots__ = ("_around", "_span")

    def __init__(self) -> None:
        self._around = trace.get_current_span()
        self._span: Span | None = None

    def see_error(self, error: BaseException, *, records_itself: bool) -> None:
        """Find the span below which an error came up; mark it unless the instrumentor will.

        :param records_itself: whether an instrumentor that ends the span also records what ended the call.
        """
        current = trace.get_current_span()
        if isinstance(error, Exception | GeneratorExit) or current is self._around:
            return
        self._span = current
        if not records_itself:
            mark_failed(current, error)

    def end(self, error: BaseException) -> None:
        """End the span if its instrumentor has forgotten it."""
        if self._span is not None and self._span.is_recording():
            mark_failed(self._span, error)
            with suppress(Exception):
                self._span.end()


def mark_failed(span: Span, error: BaseException) -> None:
    """Record an exception as what ended the span's call."""
    with suppress(Exception):
        if span.is_recording():
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
