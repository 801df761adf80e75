"""Puts tips into one call: reads the request, finds or chooses what its run is given, and makes the call."""

from __future__ import annotations

import functools
import logging
import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.recall.context import is_off, no_recall, own_unit, traced_unit
from kaizen.recall.frameworks.requests import read_answer
from kaizen.recall.frameworks.runs import Run, Runs
from kaizen.recall.recalled import NOTHING
from kaizen.recall.recalling import arecall, recall
from kaizen.recall.snapshots.polling import current_poller
from kaizen.recall.tools import offered_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from kaizen.recall.frameworks.requests import Request

logger = logging.getLogger("kaizen.recall")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_runs = Runs()


def _after_fork() -> None:
    # Another thread may have held its lock.
    global _runs
    _runs = Runs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Kind(NamedTuple):
    """One kind of call: how its arguments are read, and how the tips of its run are put into them."""

    read: Callable[[Arguments], Request | None]
    write: Callable[[Arguments, Request, Run], Arguments]


class Call:
    """One call of a run that may be given tips."""

    def __init__(self, kind: Kind, arguments: Arguments, request: Request, run: Run) -> None:
        self._kind = kind
        self.arguments = arguments
        self._request = request
        self._run = run
        self._given = NOTHING

    def choose(self) -> None:
        """Choose the tips of the run, if this is its first call, and put them in."""
        if not self._run.is_chosen:
            self._run.choose(recall(**self._asked()))
        self._write()

    async def choose_async(self) -> None:
        if not self._run.is_chosen:
            self._run.choose(await arecall(**self._asked()))
        self._write()

    def _asked(self) -> dict[str, Any]:
        request = self._request
        return {
            "task": request.task,
            "tools": request.definitions,
            "instructions": request.instructions,
            "unit": self._run.unit,
        }

    def _write(self) -> None:
        recalled = self._run.recalled
        try:
            if recalled:
                self.arguments = self._kind.write(self.arguments, self._request, self._run)
            self._given = recalled
        except Exception as error:  # noqa: BLE001 - the call goes on as it is
            logger.debug("A call is given no tips: %r", error)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Stamp the spans of the call, and keep the layers below from giving it tips again."""
        with ExitStack() as stack:
            stack.enter_context(no_recall())
            with suppress(Exception):
                stack.enter_context(self._given.applied())
                _stamp_span_around(self._given.attributes())
            yield

    def ended(self, result: Any) -> None:
        """Take note of the ids of the answer, by which the next call is known."""
        with suppress(Exception):
            _runs.answered(self._run, *read_answer(result))


def _stamp_span_around(attributes: dict[str, str]) -> None:
    """Stamp the current span if it is that of the call.

    The Agents SDK opens one before it calls the client.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None and attributes:
        span = trace.get_current_span()
        if (getattr(span, "attributes", None) or {}).get("openinference.span.kind") == "LLM":
            span.set_attributes(attributes)


def _begin(kind: Kind, arguments: Arguments) -> Call | None:
    """Return the call with its run; None if it is to be left alone, or cannot be understood."""
    if is_off():
        return None
    try:
        request = kind.read(arguments)
        if request is None or request.is_given_tips:
            return None
        names = tuple(sorted(offered_tools(request.tools)))
        newest = current_poller().snapshot(wait=False)
        run = _runs.of(
            request,
            names,
            traced_unit=traced_unit(),
            beginning=own_unit(f"{request.instructions}\n{request.task}"),
            snapshot=newest.digest if newest else "",
        )
        return Call(kind, arguments, request, run)
    except Exception as error:  # noqa: BLE001 - the call goes on as it is
        logger.debug("A call is given no tips: %r", error)
        return None


def giving_tips(function: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
    """Return a function that puts the tips of the run into the call and makes it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        call = _begin(kind, (args, kwargs))
        if call is None:
            return function(*args, **kwargs)
        call.choose()
        args, kwargs = call.arguments
        with call.under_way():
            result = function(*args, **kwargs)
        call.ended(result)
        return result

    return call


def giving_tips_async(function: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
    """Do the same for a coroutine function."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        call = _begin(kind, (args, kwargs))
        if call is None:
            return await function(*args, **kwargs)
        await call.choose_async()
        args, kwargs = call.arguments
        with call.under_way():
            result = await function(*args, **kwargs)
        call.ended(result)
        return result

    return call


def giving_tips_streamed(function: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
    """Do the same for a function that returns a generator, which makes the call when it is first asked."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        call = _begin(kind, (args, kwargs))
        if call is None:
            return function(*args, **kwargs)
        call.choose()
        args, kwargs = call.arguments
        with call.under_way():
            return _streamed(call, function(*args, **kwargs))

    return call


def _streamed(call: Call, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    try:
        # Only here: between two items it is the agent's own code that runs.
        with call.under_way():
            first = next(generator)
    except StopIteration as stop:
        return stop.value
    yield first
    return (yield from generator)


def is_giving_tips(function: object) -> bool:
    """Return whether it is one of these functions itself, and not a wrapper around one."""
    # Wrappers copy or forward all other attributes.
    return type(function) is FunctionType and function.__code__.co_filename == __file__
