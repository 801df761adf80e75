"""Values of others made fit to store: no lone surrogates, no integers beyond 64 bits, no endless nesting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.sync.model import Span, SpanEvent, Trace

_BITS = 63  # the integers of SQLite and PostgreSQL have 64, one of them for the sign
# Python writes no number of more than 4,300 digits; these have 3,011.
_BITS_AS_TEXT = 10_000
_LEVELS = 200  # far below the 1,000 calls at which Python gives up


def clean_trace(trace: Trace) -> Trace:
    """Return the trace with clean texts and attributes; its ids stay as they are."""
    return replace(trace, spans=tuple(map(_clean_span, trace.spans)))


def _clean_span(span: Span) -> Span:
    return replace(
        span,
        name=clean_text(span.name),
        kind=clean_text(span.kind),
        status=clean_text(span.status),
        status_message=clean_text(span.status_message),
        attributes=clean_value(span.attributes),
        events=tuple(map(_clean_event, span.events)),
    )


def _clean_event(event: SpanEvent) -> SpanEvent:
    return replace(event, name=clean_text(event.name), attributes=clean_value(event.attributes))


def clean_text(text: str) -> str:
    """Return the text with U+FFFD in place of lone surrogates, which UTF-8 cannot carry."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Two halves that were written one by one become one character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_value(value: Any, levels: int = _LEVELS) -> Any:
    """Return a JSON value with clean texts; an integer beyond 64 bits becomes text, as does deep nesting."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int) and value.bit_length() > _BITS:
        bits = value.bit_length()
        return str(value) if bits < _BITS_AS_TEXT else f"[a number of {bits} bits]"
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean_value(item, levels - 1) for key, item in value.items()}
    return [clean_value(item, levels - 1) for item in value]
