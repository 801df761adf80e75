"""The records in MLflow's answers, made values of ours."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from kaizen.sync.model import Annotation, Span
from kaizen.sync.sources.files.otlp import read_spans
from kaizen.sync.sources.listing import FoundTrace, Listed

_PREFIX = "tr-"
_OTHER = "="
_IDS = ("trace_id", "span_id", "parent_span_id")
_KINDS = {"CHAT_MODEL": "LLM"}
_SOURCES = {"HUMAN": "HUMAN", "CODE": "CODE", "LLM_JUDGE": "LLM"}
_COUNTS = {"input_tokens": "llm.token_count.prompt", "output_tokens": "llm.token_count.completion"}
# MLflow's names, and those of OpenInference for the same.
_NAMES = {
    "mlflow.spanInputs": "input.value",
    "mlflow.spanOutputs": "output.value",
    "mlflow.llm.model": "llm.model_name",
}


def own_id(trace_id: str) -> str:
    """Return the id of a trace as OpenTelemetry has it; that of another trace begins with a mark."""
    return trace_id.removeprefix(_PREFIX) if trace_id.startswith(_PREFIX) else _OTHER + trace_id


def their_id(trace_id: str) -> str:
    """Return the id of a trace as MLflow has it."""
    return trace_id.removeprefix(_OTHER) if trace_id.startswith(_OTHER) else _PREFIX + trace_id


def listed_of(info: Mapping[str, Any]) -> Listed:
    return Listed(
        trace_id=own_id(info["trace_id"]),
        start_time=datetime.fromisoformat(info["request_time"]),
        state=f"{info.get('state')} {info.get('execution_duration')}",
    )


def found_of(value: Mapping[str, Any]) -> tuple[str, FoundTrace]:
    """Return the id of a trace, and its spans with what its listing tells."""
    listed = listed_of(value["trace_info"])
    session = (value["trace_info"].get("trace_metadata") or {}).get("mlflow.trace.session")
    spans = [_span(listed.trace_id, span) for span in _spans(value.get("spans") or ())]
    if session:
        spans = [
            span
            if span.parent_id
            else replace(span, attributes={"session.id": str(session), **span.attributes})
            for span in spans
        ]
    return listed.trace_id, FoundTrace(spans, listed.state)


def annotations_of(info: Mapping[str, Any]) -> list[Annotation]:
    """Return what people, code and models said of a trace as a whole; what was expected is no verdict."""
    return [
        _annotation(assessment)
        for assessment in info.get("assessments") or ()
        # One that was replaced stays, and is no longer valid.
        if "feedback" in assessment and assessment.get("valid", True) and not assessment.get("span_id")
    ]


def _annotation(assessment: Mapping[str, Any]) -> Annotation:
    value = assessment["feedback"].get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Annotation(
        target="trace",
        name=assessment["assessment_name"],
        label="" if is_number or value is None else str(value),
        score=float(value) if is_number else None,
        annotator_kind=_SOURCES.get((assessment.get("source") or {}).get("source_type", ""), "CODE"),
        explanation=assessment.get("rationale") or "",
    )


def _spans(values: Any) -> Iterator[Span]:
    spans = [_renamed(value) | _hexadecimal(value) for value in values]
    return read_spans({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


def _renamed(value: Any) -> Any:
    """Return a record of Protobuf as JSON with the names that OTLP has, such as `startTimeUnixNano`."""
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {_camel(name): _renamed(item) for name, item in value.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _hexadecimal(value: Mapping[str, Any]) -> dict[str, str]:
    try:
        return {_camel(name): base64.b64decode(value[name]).hex() for name in _IDS if value.get(name)}
    except binascii.Error as error:
        raise ValueError(f"an id is not in base64: {error}") from error


def _span(trace_id: str, span: Span) -> Span:
    """Return a span with OpenInference's names for what MLflow says in its own."""
    attributes = dict(span.attributes)
    for name, same in _NAMES.items():
        if name in attributes and attributes[name] is not None:
            attributes.setdefault(same, _text(attributes[name]))
    for name, count in _usage(attributes.get("mlflow.chat.tokenUsage")).items():
        if name in _COUNTS and isinstance(count, int):
            attributes.setdefault(_COUNTS[name], count)
    kind = span.kind
    if kind == "UNKNOWN":
        named = str(attributes.get("mlflow.spanType") or kind)
        kind = _KINDS.get(named, named)
    return replace(span, trace_id=trace_id, kind=kind, attributes=attributes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _usage(value: Any) -> Mapping[str, Any]:
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    return read if isinstance(read, Mapping) else {}
