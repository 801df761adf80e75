"""Guards instrumented calls against faults of their instrumentor.

An instrumentor wraps the framework's functions. Around each such wrapper goes a guard that knows what the
framework itself did: its results and its errors pass, an error of the wrapper is swallowed.
"""

from __future__ import annotations

import functools
import inspect
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import wrapt

from kaizen.auto.guards.agents_spans import guard_processor
from kaizen.auto.guards.cancellation import CallSpan
from kaizen.auto.guards.responses import watch_responses
from kaizen.auto.guards.suppression import lifted, suppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import ModuleType
    from weakref import WeakSet

    from kaizen.auto.guards.responses import ResponseWatch

logger = logging.getLogger("kaizen.auto")


class HostCall(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap the framework's function for an instrumentor, and remember how the call ended."""

    def __init__(self, function: Callable[..., Any], *, records_itself: bool = False) -> None:
        super().__init__(function)
        self._self_records_itself = records_itself
        self._self_is_openai = records_itself
        self._self_span = CallSpan()
        self._self_called = False
        self._self_done = False
        self._self_result: Any = None
        self._self_error: BaseException | None = None
        self._self_suppressed = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._self_called = True
        # An instrumentor that outlives the call, for its stream, records its errors too.
        self._self_records_itself = self._self_records_itself or bool(kwargs.get("stream"))
        try:
            with suppressed(self._self_suppressed):
                result = self.__wrapped__(*args, **kwargs)
        except BaseException as exc:
            self._failed(exc)
            raise
        if inspect.isawaitable(result):
            return self._awaited(result)
        self._self_result = self._iterated(result) if inspect.isgenerator(result) else result
        self._self_done = True
        return self._self_result

    async def _awaited(self, awaitable: Any) -> Any:
        try:
            with suppressed(self._self_suppressed):
                result = await awaitable
        except BaseException as exc:
            self._failed(exc)
            raise
        # Those of the OpenAI SDK have a watch of their own.
        self._self_result = result if self._self_is_openai else self._self_span.watch_stream(result)
        self._self_done = True
        return self._self_result

    def _iterated(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            return (yield from generator)
        except BaseException as exc:
            self._failed(exc)
            raise

    def _failed(self, error: BaseException) -> None:
        self._self_error = error
        self._self_span.see_error(error, records_itself=self._self_records_itself)

    def raise_own_error(self, fault: Exception) -> bool:
        """Raise what the framework raised, else return whether it was called, to not call it twice."""
        if self._self_error is not None:
            self._self_span.end(self._self_error)
            if self._self_error is fault:
                raise fault
            raise self._self_error from None
        logger.debug("An instrumentor failed, the call goes on: %r", fault)
        return self._self_called


def guard(
    framework_module: ModuleType,
    instrumentor: Any,
    *,
    force: Callable[[], bool] = lambda: False,
    watches: WeakSet[ResponseWatch] | None = None,
) -> Callable[[], None]:
    """Guard what an instrumentor has just replaced in a framework; return a function that undoes it.

    `force` says whether the instrumentor is to see the calls of a tracer that suppresses all others;
    `watches` gets a watch on each response of the OpenAI SDK that the caller reads itself.
    """
    # Asked of the type: isinstance would wake the lazy proxies that openai exports.
    classes: list[Any] = [value for value in list(vars(framework_module).values()) if _is_class(value)]
    for owner in classes:
        for name, value in list(vars(owner).items()):
            if isinstance(value, wrapt.FunctionWrapper) and _is_instrumentor_s(value):
                if watches is not None:
                    watch_responses(value._self_wrapper, framework_module, watches)
                wrapper = wrapt.FunctionWrapper(value.__wrapped__, guarded(value._self_wrapper, force=force))
                setattr(owner, name, wrapper)
    guard_processor(instrumentor)
    return _guard_functions(framework_module, instrumentor)


def guarded(wrapper: Callable[..., Any], *, force: Callable[[], bool] = lambda: False) -> Callable[..., Any]:
    """Return a wrapper for wrapt that does what `wrapper` does, and the plain call where that fails."""
    called = wrapper if inspect.isroutine(wrapper) else type(wrapper).__call__
    records_itself = hasattr(wrapper, "_finalize_response")
    if inspect.iscoroutinefunction(called):

        async def call_async(function: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            host = HostCall(function, records_itself=records_itself)
            try:
                with lifted(force) as host._self_suppressed:
                    return await wrapper(host, instance, args, kwargs)
            except Exception as exc:  # noqa: BLE001 - the framework's own are raised again
                return host._self_result if host.raise_own_error(exc) else await function(*args, **kwargs)
            except BaseException as exc:
                host._self_span.end(exc)
                raise

        return call_async

    def call(function: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        host = HostCall(function, records_itself=records_itself)
        try:
            with lifted(force) as host._self_suppressed:
                result = wrapper(host, instance, args, kwargs)
        except Exception as exc:  # noqa: BLE001 - the framework's own are raised again
            return host._self_result if host.raise_own_error(exc) else function(*args, **kwargs)
        except BaseException as exc:
            host._self_span.end(exc)
            raise
        if inspect.isgenerator(result) and result is not host._self_result:
            return _guarded_generator(result, host, args, kwargs)
        return result

    return call


def _guarded_generator(
    generator: Generator[Any, Any, Any], host: HostCall, args: Any, kwargs: Any
) -> Generator[Any, Any, Any]:
    try:
        return (yield from generator)
    except Exception as exc:  # noqa: BLE001 - the framework's own are raised again
        # What the framework has not yielded yet is still in its own generator.
        rest = host._self_result if host.raise_own_error(exc) else host.__wrapped__(*args, **kwargs)
        return (yield from rest) if rest is not None else None


def _is_class(value: object) -> bool:
    return issubclass(type(value), type)


def _is_instrumentor_s(value: Any) -> bool:
    wrapper = value._self_wrapper
    return str(getattr(wrapper, "__module__", "")).startswith("openinference.")


def _guard_functions(module: ModuleType, instrumentor: Any) -> Callable[[], None]:
    """Guard functions of a module that were replaced by methods of its instrumentor (litellm)."""
    originals: dict[str, Any] = getattr(instrumentor, "original_litellm_funcs", {})
    kept = dict(originals)
    for name, original in kept.items():
        method = getattr(module, name, None)
        if getattr(method, "__self__", None) is instrumentor:
            current: ContextVar[HostCall | None] = ContextVar(f"kaizen_auto_{name}", default=None)
            originals[name] = _through(current, original)
            setattr(module, name, _guarded_function(method, original, current))
    return lambda: originals.update(kept)


def _through(current: ContextVar[HostCall | None], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (current.get() or original)(*args, **kwargs)

    return call


def _guarded_function(
    method: Any, original: Callable[..., Any], current: ContextVar[HostCall | None]
) -> Callable[..., Any]:
    def as_wrapper(host: HostCall, instance: Any, args: Any, kwargs: Any) -> Any:
        token = current.set(host)
        try:
            return method(*args, **kwargs)
        finally:
            current.reset(token)

    async def as_async_wrapper(host: HostCall, instance: Any, args: Any, kwargs: Any) -> Any:
        token = current.set(host)
        try:
            return await method(*args, **kwargs)
        finally:
            current.reset(token)

    if inspect.iscoroutinefunction(method):
        guarded_async = guarded(as_async_wrapper)

        @functools.wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await guarded_async(original, None, args, kwargs)

        return call_async
    guarded_call = guarded(as_wrapper)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return guarded_call(original, None, args, kwargs)

    return call
