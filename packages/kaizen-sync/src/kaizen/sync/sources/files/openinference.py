"""Spans as Phoenix and OpenTelemetry's console write them in JSON, with a `context`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kaizen.sync.model import Span, SpanEvent
from kaizen.sync.sources.files.otlp import kind_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMN = "attributes."


def is_span(value: Mapping[str, Any]) -> bool:
    return "context" in value or "context.span_id" in value


def read_span(value: Mapping[str, Any]) -> Span:
    """Return a span of Phoenix's REST interface, of its data frames as JSON, or of `ReadableSpan.to_json`."""
    context = value.get("context") or {
        "trace_id": value["context.trace_id"],
        "span_id": value["context.span_id"],
    }
    attributes = dict(_flat("", _given_attributes(value)))
    status = value.get("status") if isinstance(value.get("status"), Mapping) else {}
    kind = value.get("span_kind")
    start = _time(value["start_time"])
    return Span(
        span_id=_id(context["span_id"]),
        trace_id=_id(context["trace_id"]),
        parent_id=_id(value.get("parent_id") or "") or None,
        name=str(value.get("name") or ""),
        kind=str(kind) if kind else kind_of(attributes),
        status=str(value.get("status_code") or (status or {}).get("status_code") or "UNSET"),
        status_message=str(value.get("status_message") or (status or {}).get("description") or ""),
        start_time=start,
        end_time=_time(value["end_time"]) if value.get("end_time") else start,
        attributes=attributes,
        events=tuple(
            SpanEvent(name=str(event.get("name") or ""), attributes=event.get("attributes") or {})
            for event in value.get("events") or ()
        ),
    )


def _given_attributes(value: Mapping[str, Any]) -> Mapping[str, Any]:
    given = value.get("attributes")
    if isinstance(given, Mapping):
        return given
    # A data frame has a column for each.
    return {name.removeprefix(_COLUMN): one for name, one in value.items() if name.startswith(_COLUMN)}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield values by dotted names, as Phoenix's REST interface has them; plain lists stay lists."""
    items: Sequence[tuple[object, Any]]
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = list(enumerate(value))
    else:
        if value is not None:
            yield prefix, value
        return
    for name, item in items:
        yield from _flat(f"{prefix}.{name}" if prefix else str(name), item)


def _id(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError("an id is text")
    return value.lower().removeprefix("0x")


def _time(value: Any) -> datetime:
    if isinstance(value, int | float):
        # Data frames are written with milliseconds.
        return _EPOCH + timedelta(milliseconds=value)
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
