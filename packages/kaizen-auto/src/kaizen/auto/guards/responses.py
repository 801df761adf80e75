"""Follows a response of the OpenAI SDK while its caller reads it, and ends the span when the caller is done.

Covers openinference-instrumentation-openai from 0.1.45 to 0.1.66, which parses raw and streaming responses
before the caller has them: the caller waits for the whole body and finds it consumed, and an async response
is recorded as the text of a coroutine. 0.1.45 also forgets streams that are left or cancelled. To be dropped
once the oldest version that is admitted leaves responses alone.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from kaizen.auto.guards.answers import Answer, merge_chunks, parse_events, response_of
from kaizen.auto.pipeline.spans import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType, TracebackType
    from weakref import WeakSet

FIRST_EVENT = "First Token Stream Event"
# These end a loop or a generator, and are not failures.
LEAVING = (GeneratorExit, StopIteration, StopAsyncIteration)


def watch_responses(instrumentor_call: Any, openai: ModuleType, watches: WeakSet[ResponseWatch]) -> None:
    """Have an instrumentor's wrapper of `OpenAI.request` leave responses to the caller.

    `watches` holds those that have not ended. A wrapper that is built differently is left as it is.
    """
    finalize = getattr(instrumentor_call, "_finalize_response", None)
    if finalize is None:
        return

    def finalize_later(
        response: Any, with_span: Any, cast_to: type, request_parameters: Mapping[str, Any]
    ) -> Any:
        def record(answer: Any) -> Any:
            return finalize(
                response=answer, with_span=with_span, cast_to=cast_to, request_parameters=request_parameters
            )

        streams = (openai.Stream, openai.AsyncStream)
        is_stream = isinstance(response, streams)
        body = response.response if is_stream else getattr(response, "http_response", None)
        if body is None or not hasattr(body, "is_closed"):
            record(Answer(response) if hasattr(response, "model_dump_json") else response)
            return response
        watch = ResponseWatch(body, record, with_span, cast_to, openai)
        if body.is_closed:
            watch.record_all(body.content)
        else:
            body.stream = WatchedBody(body.stream, watch)
        watches.add(watch)
        if is_stream:
            return (WatchedStream if isinstance(response, openai.Stream) else WatchedAsyncStream)(
                response, watch
            )
        if watch.is_read:
            watch.end(None)
        return response

    instrumentor_call._finalize_response = finalize_later


class ResponseWatch:
    """Keep what the caller has read of one response, and end the span with it, once.

    :param body: the HTTP response.
    :param record: has the instrumentor record an answer and end the span.
    """

    def __init__(
        self, body: Any, record: Callable[[Any], Any], with_span: Any, cast_to: Any, openai: ModuleType
    ) -> None:
        self._status_code, self._headers, self._body_type = body.status_code, body.headers, type(body)
        self._record = record
        self._with_span = with_span
        self._span = trace.get_current_span()
        self._cast_to = cast_to
        self._openai = openai
        self._pieces: list[bytes] = []
        # The caller may be handling an error of its own all along.
        self._handled = id(sys.exception())
        self._process = os.getpid()
        self._has_ended = False
        self._is_decoded = False
        self.is_read = False
        # Set while the SDK reads the next event: what comes of that counts, not what the body does meanwhile.
        self.is_advancing = False
        self.is_events = str(body.headers.get("content-type", "")).startswith("text/event-stream")
        self._is_text = self.is_events or "json" in str(body.headers.get("content-type", ""))

    def record(self, piece: bytes) -> None:
        """Keep a piece of the body, as it came over the wire."""
        if self._has_ended:
            return
        if not self._pieces and self.is_events:
            with suppress(Exception):
                self._span.add_event(FIRST_EVENT)
        if self._is_text:
            self._pieces.append(piece)

    def record_all(self, content: bytes) -> None:
        """Keep the whole body, as the HTTP client has decoded it."""
        self.record(content)
        self._is_decoded = self.is_read = True

    def end_reading(self, outcome: BaseException) -> None:
        """Notice that there is no next piece of the body: it was read to its end, or an error came."""
        if isinstance(outcome, (StopIteration, StopAsyncIteration)):
            self.is_read = True
        else:
            self.end_by_closing(outcome)

    def end_by_closing(self, error: BaseException | None) -> None:
        """End the span because the body was closed, with the exception that the caller was handling then."""
        if not self.is_advancing:
            self.end(None if id(error) == self._handled else error)

    def end(self, error: BaseException | None, *, is_unfinished: bool = False) -> bool:
        """End the span with what was read and the error that the caller saw; say whether it was open."""
        if self._has_ended or os.getpid() != self._process:
            return False
        self._has_ended = True
        # The agent's own code is running: no error of ours may reach it.
        with suppress(Exception):
            if is_unfinished:
                self._span.set_attribute(UNFINISHED, True)
            failure = None if error is None or isinstance(error, LEAVING) else error
            if failure is not None:
                self._with_span.record_exception(failure)
            status = None
            if failure is not None:
                status = Status(StatusCode.ERROR, f"{type(failure).__name__}: {failure}")
            try:
                self._record_answer(status)
            finally:
                # Does nothing where the answer was recorded.
                self._with_span.finish_tracing(status=status)
        self._pieces = []
        return True

    def _record_answer(self, status: Status | None) -> None:
        content = self._content()
        if self.is_events:
            self._record_events(content, status)
        elif self.is_read and status is None and self._is_text:
            answer = json.loads(content)
            construct = getattr(self._cast_to, "construct", None)
            self._record(Answer(construct(**answer)) if construct and isinstance(answer, dict) else answer)
        elif self.is_read and status is None:
            self._with_span.finish_tracing(status=Status(StatusCode.OK))

    def _record_events(self, content: bytes, status: Status | None) -> None:
        events, is_complete = parse_events(content)
        if status is None and (is_complete or self.is_read):
            status = Status(StatusCode.OK)
        # For a stream the instrumentor makes an accumulator, and reads nothing itself.
        accumulating = self._record(object.__new__(self._openai.Stream))
        accumulating._self_iteration_count = 1
        for chunk in self._chunks(events):
            accumulating._process_chunk(chunk)
        accumulating._finish_tracing(status)
        # It would do it all again when it is deleted.
        accumulating._self_response_accumulator = None

    def _chunks(self, events: list[dict[str, Any]]) -> list[Any]:
        responses = self._openai.types.responses
        if self._cast_to is not responses.Response:
            return list(merge_chunks(events))
        whole = response_of(events)
        if whole is None:
            return []
        event = responses.ResponseCompletedEvent.construct(type="response.completed")
        event.response = Answer(responses.Response.construct(**whole))
        return [event]

    def _content(self) -> bytes:
        """Return what was read, decoded as the HTTP client decodes it."""
        content = b"".join(self._pieces)
        if self._is_decoded or "content-encoding" not in self._headers:
            return content
        return bytes(self._body_type(self._status_code, headers=self._headers, content=content).content)


class WatchedBody(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap the byte stream below an HTTP response, to see it read and closed."""

    def __init__(self, stream: Any, watch: ResponseWatch) -> None:
        super().__init__(stream)
        self._self_watch = watch

    def __iter__(self) -> Any:
        return WatchedPieces(iter(self.__wrapped__), self._self_watch)

    def __aiter__(self) -> Any:
        return WatchedAsyncPieces(self.__wrapped__.__aiter__(), self._self_watch)

    def close(self) -> None:
        error = sys.exception()
        try:
            self.__wrapped__.close()
        finally:
            self._self_watch.end_by_closing(error)

    async def aclose(self) -> None:
        error = sys.exception()
        try:
            await self.__wrapped__.aclose()
        finally:
            self._self_watch.end_by_closing(error)

    def __del__(self) -> None:
        self._self_watch.end(None)


class WatchedPieces(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap the pieces of a body, and record each when the caller takes it."""

    def __init__(self, pieces: Any, watch: ResponseWatch) -> None:
        super().__init__(pieces)
        self._self_watch = watch

    def __iter__(self) -> WatchedPieces:
        return self

    def __next__(self) -> bytes:
        try:
            piece: bytes = self.__wrapped__.__next__()
        except BaseException as exc:
            self._self_watch.end_reading(exc)
            raise
        self._self_watch.record(piece)
        return piece


class WatchedAsyncPieces(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap the pieces of an async body, and record each when the caller takes it."""

    def __init__(self, pieces: Any, watch: ResponseWatch) -> None:
        super().__init__(pieces)
        self._self_watch = watch

    def __aiter__(self) -> WatchedAsyncPieces:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece: bytes = await self.__wrapped__.__anext__()
        except BaseException as exc:
            self._self_watch.end_reading(exc)
            raise
        self._self_watch.record(piece)
        return piece


class HeldStream(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap a stream of the SDK for its caller, so that dropping it ends the span.

    The stream itself refers to itself, and would wait for the garbage collector.
    """

    def __init__(self, stream: Any, watch: ResponseWatch) -> None:
        super().__init__(stream)
        self._self_watch = watch

    def __del__(self) -> None:
        self._self_watch.end(None)


class WatchedStream(HeldStream):
    """Wrap a sync stream, to see how each step and each `with` block ends."""

    def __iter__(self) -> WatchedStream:
        return self

    def __next__(self) -> Any:
        watch = self._self_watch
        watch.is_advancing = True
        try:
            return self.__wrapped__.__next__()
        except BaseException as exc:
            watch.end(exc)
            raise
        finally:
            watch.is_advancing = False

    def __enter__(self) -> Any:
        entered = self.__wrapped__.__enter__()
        return self if entered is self.__wrapped__ else entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return self.__wrapped__.__exit__(kind, error, trace)
        finally:
            self._self_watch.end(error)


class WatchedAsyncStream(HeldStream):
    """Wrap an async stream, to see how each step and each `with` block ends."""

    def __aiter__(self) -> WatchedAsyncStream:
        return self

    async def __anext__(self) -> Any:
        watch = self._self_watch
        watch.is_advancing = True
        try:
            return await self.__wrapped__.__anext__()
        except BaseException as exc:
            watch.end(exc)
            raise
        finally:
            watch.is_advancing = False

    async def __aenter__(self) -> Any:
        entered = await self.__wrapped__.__aenter__()
        return self if entered is self.__wrapped__ else entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return await self.__wrapped__.__aexit__(kind, error, trace)
        finally:
            self._self_watch.end(error)
