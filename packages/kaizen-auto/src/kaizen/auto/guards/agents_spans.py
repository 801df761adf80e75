"""Ends each span of the OpenAI Agents SDK, also where its instrumentor cannot record the answer.

Covers openinference-instrumentation-openai-agents from 2.6: an answer with half a character makes it raise
before it ends the span, and the SDK logs an error. To be dropped once the oldest version that is admitted
does not.
"""

from __future__ import annotations

import functools
import logging
import sys
from contextlib import suppress
from typing import Any

import wrapt

from kaizen.auto.guards.answers import Answer

logger = logging.getLogger("kaizen.auto")


def guard_processor(instrumentor: Any) -> None:
    """Guard the trace processor of the Agents SDK's instrumentor; leave other instrumentors alone."""
    module = sys.modules.get(f"{type(instrumentor).__module__}._processor")
    processor = getattr(module, "OpenInferenceTracingProcessor", None)
    original = getattr(processor, "on_span_end", None)
    if processor is None or original is None or hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def on_span_end(self: Any, span: Any) -> None:
        traced = getattr(self, "_otel_spans", {}).get(span.span_id)
        try:
            original(self, SpanView(span))
        except Exception as exc:  # noqa: BLE001 - the agent's run goes on, and its log stays its own
            logger.debug("A span of the Agents SDK is recorded in part: %r", exc)
        with suppress(Exception):
            if traced is not None and traced.is_recording():
                traced.end()

    processor.on_span_end = on_span_end


class SpanView(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap a span of the SDK for the instrumentor, with data that can be dumped as JSON."""

    @property
    def span_data(self) -> Any:
        data = self.__wrapped__.span_data
        return data if getattr(data, "response", None) is None else SpanData(data)


class SpanData(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap the data of such a span, with a response that can be dumped as JSON."""

    @property
    def response(self) -> Any:
        return Answer(self.__wrapped__.response)
