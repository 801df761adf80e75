"""Lets our instrumentors see calls that another tracer hides from them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, get_value, set_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# logfire suppresses all instrumentation inside its spans of model calls, to keep HTTP clients out of them.
SUPPRESSING_SCOPE = "logfire."


@contextmanager
def lifted(force: Callable[[], bool]) -> Iterator[bool]:
    """Lift the suppression if it is another tracer's and `force` says so; yield whether it was lifted.

    What the agent suppresses itself stays so: the other tracer makes no span then.
    """
    if not (get_value(_SUPPRESS_INSTRUMENTATION_KEY) and force() and _is_another_tracer_s()):
        yield False
        return
    with _suppression(False):
        yield True


@contextmanager
def suppressed(again: bool) -> Iterator[None]:
    """Suppress again for the framework's own call, so that nobody traces its HTTP client."""
    if not again:
        yield
        return
    with _suppression(True):
        yield


@contextmanager
def _suppression(value: bool) -> Iterator[None]:
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value))
    try:
        yield
    finally:
        detach(token)


def _is_another_tracer_s() -> bool:
    scope = getattr(trace.get_current_span(), "instrumentation_scope", None)
    return str(getattr(scope, "name", "")).startswith(SUPPRESSING_SCOPE)
