"""Makes one run of an agent a root AGENT span, so that its model calls are one trace and not many."""

from __future__ import annotations

import functools
import inspect
import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from kaizen.auto import tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from types import TracebackType

P = ParamSpec("P")
T = TypeVar("T")

SCOPE = "kaizen.auto"
SESSION_ID = "session.id"
WITHIN_RUN = "kaizen.auto.within_run"


class AgentRun:
    """Trace a run, as a decorator or as a context manager for one use. Do nothing without tracing."""

    def __init__(self, name: str, session_id: str | None = None) -> None:
        self._name = name
        self._session_id = session_id
        self._span: _RunSpan | None = None
        self._active: Any = None

    def set_input(self, value: object) -> None:
        """Record what the run was asked: text as it is, anything else as JSON."""
        if self._span is not None:
            self._span.record("input", value)

    def set_output(self, value: object) -> None:
        """Record what the run came to: text as it is, anything else as JSON."""
        if self._span is not None:
            self._span.record("output", value)

    def __enter__(self) -> AgentRun:
        self._span = _RunSpan(self._name, self._session_id)
        self._active = self._span.active()
        self._active.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._active.__exit__(None, None, None)
            self._span.end(error)

    async def __aenter__(self) -> AgentRun:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Make every call of the function a run: its arguments are the input, its result is the output."""
        if inspect.isasyncgenfunction(function):
            wrapper: Any = self._async_generator(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = self._generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapper = self._coroutine(function)
        else:
            wrapper = self._function(function)
        return cast("Callable[P, T]", functools.wraps(function)(wrapper))

    def _start(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _RunSpan:
        span = _RunSpan(self._name, self._session_id)
        span.record_arguments(function, args, kwargs)
        return span

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            span = self._start(function, args, kwargs)
            with span.ending(), span.active():
                result = function(*args, **kwargs)
                span.record("output", result)
                return result

        return run

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            span = self._start(function, args, kwargs)
            with span.ending(), span.active():
                result = await function(*args, **kwargs)
                span.record("output", result)
                return result

        return run

    # The span is current only while the generator's own code runs, never while its consumer's does.
    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            span = self._start(function, args, kwargs)
            with span.ending():
                inner, items, sent = function(*args, **kwargs), [], None
                try:
                    while True:
                        try:
                            with span.active():
                                item = inner.send(sent)
                        except StopIteration as stop:
                            return stop.value
                        items.append(item)
                        sent = yield item
                finally:
                    with span.active():
                        inner.close()
                    span.record_items(items)

        return run

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            span = self._start(function, args, kwargs)
            with span.ending():
                inner, items, sent = function(*args, **kwargs), [], None
                try:
                    while True:
                        try:
                            with span.active():
                                item = await inner.asend(sent)
                        except StopAsyncIteration:
                            return
                        items.append(item)
                        sent = yield item
                finally:
                    with span.active():
                        await inner.aclose()
                    span.record_items(items)

        return run


class _RunSpan:
    """Hold the span of one run, or nothing; no error of it reaches the agent."""

    def __init__(self, name: str, session_id: str | None) -> None:
        self._span: Any = None
        self._context: Any = None
        with suppress(Exception):
            provider = tracing.provider()
            if provider is not None:
                self._open(provider, name, session_id)

    def _open(self, provider: Any, name: str, session_id: str | None) -> None:
        from opentelemetry import context, trace

        from kaizen.auto.pipeline.spans import is_openinference

        around = trace.get_current_span()
        within_run = context.get_value(WITHIN_RUN) or is_openinference(cast("Any", around))
        foreign = around.get_span_context().is_valid and not within_run
        outer = context.set_value(WITHIN_RUN, True)
        if session_id is not None:
            outer = context.set_value(SESSION_ID, session_id, outer)
        # Below a span that Phoenix never gets, the run would be an orphan, or not sampled at all.
        parent = trace.set_span_in_context(trace.INVALID_SPAN, outer) if foreign else outer
        token = context.attach(outer)
        try:
            self._span = provider.get_tracer(SCOPE).start_span(
                name,
                context=parent,
                openinference_span_kind="agent",
                links=[trace.Link(around.get_span_context())] if foreign else (),
            )
        finally:
            context.detach(token)
        self._context = trace.set_span_in_context(self._span, outer)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the span the current one for the code inside."""
        if self._context is None:
            yield
            return
        from opentelemetry import context

        token = context.attach(self._context)
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def ending(self) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            self.end(None if isinstance(exc, GeneratorExit) else exc)
            raise
        self.end(None)

    def record(self, side: str, value: object) -> None:
        if self._span is None:
            return
        with suppress(Exception):
            text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            self._span.set_attribute(f"{side}.value", text)
            mime_type = "text/plain" if isinstance(value, str) else "application/json"
            self._span.set_attribute(f"{side}.mime_type", mime_type)

    def record_arguments(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._span is None:
            return
        with suppress(Exception):
            given = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
            given.pop("self", None)
            only = next(iter(given.values())) if len(given) == 1 else None
            self.record("input", only if isinstance(only, str) else given)

    def record_items(self, items: list[Any]) -> None:
        texts = all(isinstance(item, str) for item in items)
        self.record("output", "".join(items) if texts else items)

    def end(self, error: BaseException | None) -> None:
        if self._span is None:
            return
        with suppress(Exception):
            from opentelemetry.trace import Status, StatusCode

            if error is None:
                self._span.set_status(Status(StatusCode.OK))
            else:
                self._span.record_exception(error)
                self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        with suppress(Exception):
            self._span.end()
