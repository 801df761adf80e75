"""The records in Langfuse's answers, made values of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Annotation, Span
from kaizen.sync.sources.files.otlp import kind_of
from kaizen.sync.sources.listing import FoundTrace, Listed

if TYPE_CHECKING:
    from kaizen.sync.model import Target

_KINDS = {"GENERATION": "LLM", "SPAN": "CHAIN", "EVENT": "CHAIN"}
_SOURCES = {"ANNOTATION": "HUMAN", "EVAL": "LLM", "API": "CODE"}
_COUNTS = {"input": "llm.token_count.prompt", "output": "llm.token_count.completion"}
_SUBJECTS: Mapping[Target, str] = {"trace": "traceId", "span": "observationId", "session": "sessionId"}


def listed_of(value: Mapping[str, Any]) -> Listed:
    """Read a trace with the ids of its observations, or with the observations."""
    observations = value.get("observations") or ()
    ids = sorted(one if isinstance(one, str) else one["id"] for one in observations)
    # What ends late changes the latency, and no ids.
    text = json.dumps([round(float(value.get("latency") or 0), 3), *ids])
    return Listed(
        trace_id=value["id"],
        start_time=_time(value["timestamp"]),
        state=hashlib.sha256(text.encode()).hexdigest()[:32],
        spans=len(ids),
    )


def found_of(value: Mapping[str, Any]) -> FoundTrace:
    """Return the spans of a trace; one without observations is a span itself."""
    spans = [_span(value, observation) for observation in value.get("observations") or ()]
    return FoundTrace(spans or [_own_span(value)], listed_of(value).state)


def annotation_of(target: Target, score: Mapping[str, Any]) -> tuple[str, Annotation]:
    """Return the id of what a score is about, and the score as an annotation."""
    number = score.get("value")
    is_number = isinstance(number, int | float) and score.get("dataType") != "CATEGORICAL"
    return str(score[_SUBJECTS[target]]), Annotation(
        target=target,
        name=score["name"],
        label=score.get("stringValue") or "",
        score=float(number) if is_number and number is not None else None,
        annotator_kind=_SOURCES.get(score.get("source", ""), "CODE"),
        explanation=score.get("comment") or "",
    )


def is_about(target: Target, score: Mapping[str, Any]) -> bool:
    """Return whether a score is about a trace as a whole, an observation or a session."""
    about = {"span": score.get("observationId"), "trace": score.get("traceId")}
    return target == next((kind for kind, given in about.items() if given), "session")


def _span(trace: Mapping[str, Any], value: Mapping[str, Any]) -> Span:
    attributes = _attributes(value)
    parent_id = value.get("parentObservationId") or None
    if trace.get("sessionId") and not parent_id:
        attributes.setdefault("session.id", str(trace["sessionId"]))
    named = str(value.get("type") or "UNKNOWN")
    kind = kind_of(attributes)
    start = _time(value["startTime"])
    is_error = value.get("level") == "ERROR"
    return Span(
        span_id=value["id"],
        trace_id=trace["id"],
        parent_id=parent_id,
        name=value.get("name") or "",
        kind=_KINDS.get(named, named) if kind == "UNKNOWN" or named == "GENERATION" else kind,
        status="ERROR" if is_error else "OK",
        status_message=(value.get("statusMessage") or "") if is_error else "",
        start_time=start,
        end_time=_time(value["endTime"]) if value.get("endTime") else start,
        attributes=attributes,
    )


def _own_span(trace: Mapping[str, Any]) -> Span:
    start = _time(trace["timestamp"])
    return Span(
        span_id=trace["id"],
        trace_id=trace["id"],
        parent_id=None,
        name=trace.get("name") or "",
        kind="CHAIN",
        status="OK",
        status_message="",
        start_time=start,
        end_time=start + timedelta(seconds=float(trace.get("latency") or 0)),
        attributes=_values(trace),
    )


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an observation: those it came with by OTLP, and Langfuse's fields."""
    metadata = value.get("metadata")
    given = metadata.get("attributes") if isinstance(metadata, Mapping) else None
    attributes = dict(given) if isinstance(given, Mapping) else {}
    fields: dict[str, Any] = _values(value)
    if value.get("model"):
        fields["llm.model_name"] = value["model"]
    usage = value.get("usageDetails") or value.get("usage") or {}
    for name, count in _COUNTS.items():
        if isinstance(usage.get(name), int):
            fields[count] = usage[name]
    return fields | attributes


def _values(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what went in and out, as text, and whether it was JSON."""
    asked = value.get("input")
    if value.get("type") == "GENERATION" and isinstance(asked, str):
        # A prompt that is no list of messages is the user's.
        asked = asked if asked.lstrip()[:1] in ("[", "{") else [{"role": "user", "content": asked}]
    values: dict[str, Any] = {}
    for name, given in (("input", asked), ("output", value.get("output"))):
        if given is None:
            continue
        is_text = isinstance(given, str)
        values[f"{name}.value"] = given if is_text else json.dumps(given, ensure_ascii=False)
        if isinstance(given, Mapping | Sequence) and not is_text:
            values[f"{name}.mime_type"] = "application/json"
    return values


def _time(value: str) -> datetime:
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
