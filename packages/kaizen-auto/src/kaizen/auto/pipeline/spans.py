"""Reads and copies finished spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import SpanContext, Status

SPAN_KIND = "openinference.span.kind"
# On spans that were still open when the process ended.
UNFINISHED = "kaizen.unfinished"


def scope_of(span: ReadableSpan) -> str:
    scope = getattr(span, "instrumentation_scope", None)
    return str(scope.name) if scope is not None else ""


def is_openinference(span: ReadableSpan) -> bool:
    return scope_of(span).startswith(("openinference.", "kaizen."))


def kind_of(span: ReadableSpan) -> str | None:
    kind = (span.attributes or {}).get(SPAN_KIND)
    return str(kind) if kind is not None else None


def copy_span(
    span: ReadableSpan,
    *,
    parent: SpanContext | None = None,
    attributes: Mapping[str, Any] | None = None,
    resource: Resource | None = None,
    events: Sequence[Event] | None = None,
    status: Status | None = None,
    end_time: int | None = None,
) -> ReadableSpan:
    """Return the same span with what is given in place of its own; `end_time` is in nanoseconds."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=parent if parent is not None else span.parent,
        resource=resource if resource is not None else span.resource,
        attributes=attributes if attributes is not None else span.attributes,
        events=events if events is not None else span.events,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=status if status is not None else span.status,
        start_time=span.start_time,
        end_time=end_time if end_time is not None else span.end_time,
    )
