"""Listens to the application's tracer provider: takes its OpenInference spans, under our project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from kaizen.auto.pipeline.spans import copy_span, is_openinference

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Span

    from kaizen.auto.pipeline.collapse import CollapseProcessor


class Relay(SpanProcessor):
    """Hand copies of the spans of the application's provider to our processor."""

    def __init__(self, provider: Any, target: CollapseProcessor, resource: Resource) -> None:
        self.provider = provider
        self._target = target
        self._resource = resource
        self._attached = False

    def attach(self) -> None:
        try:
            # phoenix.otel's provider would drop the processor that exports for the application.
            self.provider.add_span_processor(self, replace_default_processor=False)
        except TypeError:
            self.provider.add_span_processor(self)
        self._attached = True

    def detach(self) -> None:
        """Hand on nothing more: OpenTelemetry has no way to take a processor off a provider."""
        self._attached = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._attached and is_openinference(span):
            self._target.on_start(span, parent_context, resource=self._merged(span))

    def on_end(self, span: ReadableSpan) -> None:
        if self._attached and is_openinference(span):
            self._target.on_end(copy_span(span, resource=self._merged(span)))

    def _merged(self, span: ReadableSpan) -> Resource:
        return span.resource.merge(self._resource)

    def shutdown(self) -> None:
        self._attached = False

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._target.force_flush(timeout_millis)
