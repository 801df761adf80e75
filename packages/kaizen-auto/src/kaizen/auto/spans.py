"""Finished spans as values: what they are, and copies with something changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanContext

SPAN_KIND = "openinference.span.kind"


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
) -> ReadableSpan:
    """The same span with another parent, other attributes or another resource."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=parent if parent is not None else span.parent,
        resource=resource if resource is not None else span.resource,
        attributes=attributes if attributes is not None else span.attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )
