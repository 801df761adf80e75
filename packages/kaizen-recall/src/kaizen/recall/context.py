"""What holds for the code inside a `with`: no recall, or attributes for its spans."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_is_off: ContextVar[bool] = ContextVar("kaizen_recall_off", default=False)
_attributes: ContextVar[Mapping[str, str]] = ContextVar("kaizen_recall_attributes", default={})  # noqa: B039
_STARTED = time.time_ns()


@contextmanager
def no_recall() -> Iterator[None]:
    """Give no tips to the calls inside: for evaluations, judges and the like."""
    token = _is_off.set(True)
    try:
        yield
    finally:
        _is_off.reset(token)


def is_off() -> bool:
    """Return whether this is inside `no_recall`."""
    return _is_off.get()


def current_attributes() -> Mapping[str, str]:
    """Return the attributes that spans which begin now must have; kaizen.auto asks for them."""
    return _attributes.get()


@contextmanager
def stamping(attributes: Mapping[str, str]) -> Iterator[None]:
    """Put the attributes on all spans that begin inside."""
    token = _attributes.set({**_attributes.get(), **attributes})
    try:
        with _in_openinference(attributes):
            yield
    finally:
        _attributes.reset(token)


@contextmanager
def _in_openinference(attributes: Mapping[str, str]) -> Iterator[None]:
    """Add them to the metadata of OpenInference's context, unless kaizen.auto puts them on the spans."""
    auto = sys.modules.get("kaizen.auto")
    is_traced = "openinference.instrumentation" in sys.modules and not (
        auto and auto.get_instrumented_frameworks()
    )
    if not attributes or not is_traced:
        yield
        return
    from openinference.instrumentation import using_metadata

    with using_metadata({**_metadata(), **attributes}):
        yield


def _metadata() -> dict[str, Any]:
    import json

    from opentelemetry.context import get_value

    try:
        metadata = json.loads(str(get_value("metadata") or "{}"))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def current_unit(text: str) -> str:
    """Return the unit that a run with this beginning counts as: its session, its trace, or itself."""
    return traced_unit() or own_unit(text)


def own_unit(text: str) -> str:
    """Return the unit of a run that is in no trace; two of this process that begin the same are one unit."""
    process = f"{os.getpid()} {_STARTED}"
    return hashlib.sha256(f"{process}\n{text}".encode("utf-8", "replace")).hexdigest()[:32]


def traced_unit() -> str:
    """Return the session or the trace that the code runs in; empty if it is in none."""
    if "opentelemetry.trace" not in sys.modules:
        return ""
    from opentelemetry.context import get_value
    from opentelemetry.trace import format_trace_id, get_current_span

    session, span = get_value("session.id"), get_current_span().get_span_context()
    return str(session) if session else format_trace_id(span.trace_id) if span.is_valid else ""
