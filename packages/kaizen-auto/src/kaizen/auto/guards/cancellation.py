"""Ends the spans of calls that failed or were cancelled, where their instrumentor does not.

Covers openinference-instrumentation-openai 0.1.45, which leaves the span of a cancelled call open;
openinference-instrumentation-litellm from 0.1.51, which ends it without a status (both look out for
`Exception` only); and openinference-instrumentation-smolagents from 0.1.36, which leaves the span of a run
open that raised. To be dropped once the oldest versions that are admitted end them all.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import wrapt
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode


class CallSpan:
    """The span that an instrumentor makes for one guarded call, found when the call fails."""

    __slots__ = ("_around", "_span")

    def __init__(self) -> None:
        self._around = trace.get_current_span()
        self._span: Span | None = None

    def see_error(self, error: BaseException, *, records_itself: bool) -> None:
        """Find the span in which an error came up; mark it where the instrumentor will not.

        :param records_itself: whether the instrumentor also records what is not an `Exception`.
        """
        current = trace.get_current_span()
        if isinstance(error, GeneratorExit) or current is self._around:
            return
        self._span = current
        if not isinstance(error, Exception) and not records_itself:
            mark_failed(current, error)

    def watch_stream(self, stream: Any) -> Any:
        """Return the stream with a watch that marks the current span if reading it is cancelled."""
        current = trace.get_current_span()
        if current is self._around or not hasattr(stream, "__anext__"):
            return stream
        return CancellableStream(stream, current)

    def end(self, error: BaseException) -> None:
        """End the span if its instrumentor has forgotten it."""
        if self._span is not None and self._span.is_recording():
            mark_failed(self._span, error)
            with suppress(Exception):
                self._span.end()


class CancellableStream(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """An async stream that marks the span of its call as failed if reading it is cancelled."""

    def __init__(self, stream: Any, span: Span) -> None:
        super().__init__(stream)
        self._self_span = span

    def __aiter__(self) -> CancellableStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.__wrapped__.__anext__()
        except (Exception, GeneratorExit):
            raise
        except BaseException as exc:
            mark_failed(self._self_span, exc)
            raise


def mark_failed(span: Span, error: BaseException) -> None:
    """Record an exception as what ended the call, unless an error is recorded already."""
    with suppress(Exception):
        status = getattr(span, "status", None)
        if span.is_recording() and getattr(status, "status_code", None) is not StatusCode.ERROR:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
