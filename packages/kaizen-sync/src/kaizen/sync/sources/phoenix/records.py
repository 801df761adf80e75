"""The records in Phoenix's answers, made values of ours."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from kaizen.sync.model import Anchor, Annotation, IndexedSpan, IndexedTrace, Span, SpanEvent
from kaizen.sync.sources import parsing

if TYPE_CHECKING:
    from kaizen.sync.model import Target

T = TypeVar("T")


def parse(read: Callable[[Any], T], value: Any, path: str) -> T:
    """Read a record that came from that path; raises `SourceError` if it is not as expected."""
    return parsing.parse("Phoenix", read, value, path)


def anchor(value: Mapping[str, Any]) -> Anchor:
    """Return the row of a span."""
    return Anchor(
        # The number alone is no proof: databases give numbers again after deletes.
        token=value["context"]["span_id"],
        row=_row(value["id"]),
        start_time=datetime.fromisoformat(value["start_time"]),
    )


def _row(global_id: str) -> int:
    """Return the row number in Phoenix's id, which is `Span:<row>` in base64."""
    try:
        return int(base64.b64decode(global_id, validate=True).decode().rpartition(":")[2])
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{global_id!r} is no row id") from error


def trace_id_of(value: Mapping[str, Any]) -> str:
    return str(value["context"]["trace_id"])


def trace_start(value: Mapping[str, Any]) -> tuple[str, datetime]:
    """Return the trace id and the start of a span."""
    return trace_id_of(value), datetime.fromisoformat(value["start_time"])


def indexed_trace(value: Mapping[str, Any]) -> IndexedTrace:
    return IndexedTrace(
        trace_id=value["trace_id"],
        start_time=datetime.fromisoformat(value["start_time"]),
        spans=tuple(
            IndexedSpan(
                span_id=span["span_id"],
                parent_id=span["parent_id"],
                end_time=datetime.fromisoformat(span["end_time"]),
            )
            for span in value["spans"]
        ),
    )


def annotation_of(target: Target, value: Mapping[str, Any]) -> tuple[str, Annotation]:
    """Return the id of what an annotation is about, and the annotation."""
    result = value.get("result") or {}
    score = result.get("score")
    return str(value[f"{target}_id"]), Annotation(
        target=target,
        name=value["name"],
        label=result.get("label") or "",
        score=None if score is None else float(score),
        annotator_kind=value["annotator_kind"],
        explanation=result.get("explanation") or "",
    )


def span_of(value: Mapping[str, Any]) -> Span:
    return Span(
        span_id=value["context"]["span_id"],
        trace_id=value["context"]["trace_id"],
        parent_id=value.get("parent_id"),
        name=value["name"],
        kind=value["span_kind"],
        status=value["status_code"],
        status_message=value.get("status_message") or "",
        start_time=datetime.fromisoformat(value["start_time"]),
        end_time=datetime.fromisoformat(value["end_time"]),
        attributes=value.get("attributes") or {},
        events=tuple(
            SpanEvent(name=event["name"], attributes=event.get("attributes") or {})
            for event in value.get("events") or ()
        ),
    )
