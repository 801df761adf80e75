"""any-agent: `gen_ai.input.messages` on a run's first `call_llm` only, `gen_ai.output` as text or calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaizen.sync.model import Message, Span, ToolCall
from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.dialects.gen_ai_attributes import INPUT
from kaizen.sync.trajectory.json_text import as_text, json_or_none

_OUTPUT = "gen_ai.output"


def is_model_call(span: Span) -> bool:
    return span.attributes.get("gen_ai.operation.name") == "call_llm"


def recognises(span: Span) -> bool:
    return is_model_call(span) and _OUTPUT in span.attributes


def read(span: Span) -> SpanContent:
    output = span.attributes[_OUTPUT]
    calls = _calls(json_or_none(output))
    said = Message(role="assistant", content="" if calls else as_text(output), tool_calls=calls)
    return SpanContent(
        given=with_span(span, messages_of_json(json_or_none(span.attributes.get(INPUT)))),
        answer=with_span(span, [said]),
        is_delta=INPUT not in span.attributes,
    )


def _calls(value: Any) -> tuple[ToolCall, ...]:
    calls = [call for call in value if isinstance(call, Mapping)] if isinstance(value, list) else []
    return tuple(
        ToolCall(id="", name=as_text(call["tool.name"]), arguments=as_text(call.get("tool.args")))
        for call in calls
        if call.get("tool.name")
    )
