"""Spans as OTLP writes them in JSON: the file exporters of the OpenTelemetry Collector and of the SDKs.

Source: OTLP specification, "JSON Protobuf Encoding": ids are hexadecimal, numbers of 64 bits may be text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kaizen.sync.model import Span, SpanEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KIND = "openinference.span.kind"
_STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}
_OPERATIONS = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
}
_TRACELOOP = {"tool": "TOOL", "agent": "AGENT", "workflow": "CHAIN", "task": "CHAIN"}


def holds_spans(value: Mapping[str, Any]) -> bool:
    return "resourceSpans" in value or "resource_spans" in value


def read_spans(value: Mapping[str, Any]) -> Iterator[Span]:
    """Yield the spans of an export request, in whatever resource and scope they are."""
    for resource in value.get("resourceSpans") or value.get("resource_spans") or ():
        # The name before version 0.17 of the protocol.
        scopes = resource.get("scopeSpans") or resource.get("scope_spans")
        for scope in scopes or resource.get("instrumentationLibrarySpans") or ():
            yield from map(_span, scope.get("spans") or ())


def kind_of(attributes: dict[str, Any]) -> str:
    """Return the kind of a span in OpenInference's words, and take it out of the attributes."""
    if named := attributes.pop(_KIND, None):
        return str(named)
    if operation := _OPERATIONS.get(str(attributes.get("gen_ai.operation.name"))):
        return operation
    if kind := _TRACELOOP.get(str(attributes.get("traceloop.span.kind"))):
        return kind
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return "TOOL"
    calls = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.request.model", "llm.request.type")
    return "LLM" if any(name in attributes for name in calls) else "UNKNOWN"


def _span(value: Mapping[str, Any]) -> Span:
    attributes = _attributes(value.get("attributes"))
    status = value.get("status") or {}
    code = status.get("code", 0)
    start = _time(value["startTimeUnixNano"])
    return Span(
        span_id=_id(value["spanId"]),
        trace_id=_id(value["traceId"]),
        parent_id=_id(value.get("parentSpanId") or "") or None,
        name=str(value.get("name") or ""),
        kind=kind_of(attributes),
        status=_STATUSES[code] if isinstance(code, int) else str(code).removeprefix("STATUS_CODE_"),
        status_message=str(status.get("message") or ""),
        start_time=start,
        end_time=_time(value.get("endTimeUnixNano") or 0) if value.get("endTimeUnixNano") else start,
        attributes=attributes,
        events=tuple(
            SpanEvent(name=str(event.get("name") or ""), attributes=_attributes(event.get("attributes")))
            for event in value.get("events") or ()
        ),
    )


def _id(value: str) -> str:
    """Return an id as it is in lower case: some exporters write capitals."""
    if not isinstance(value, str):
        raise TypeError("an id is text")
    return value.lower()


def _time(nanoseconds: str | int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {str(pair["key"]): _value(pair.get("value") or {}) for pair in pairs or ()}


def _value(value: Mapping[str, Any]) -> Any:
    for kind, found in value.items():
        if kind == "intValue":
            return int(found)
        if kind == "arrayValue":
            return [_value(item) for item in (found or {}).get("values") or ()]
        if kind == "kvlistValue":
            return _attributes((found or {}).get("values"))
        return found
    return None
