"""The request and the response as JSON in `input.value` and `output.value`: chat, Responses, smolagents.

openai-agents writes the bare list of messages, smolagents its arguments (`{"args": [[...]]}`).
"""

from __future__ import annotations

from collections.abc import Mapping

from kaizen.sync.model import Message, Span
from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import json_or_none


def recognises(span: Span) -> bool:
    return "input.value" in span.attributes or "output.value" in span.attributes


def read(span: Span) -> SpanContent:
    request = json_or_none(span.attributes.get("input.value"))
    if isinstance(request, Mapping) and isinstance(request.get("args"), list):
        request = request["args"][0] if request["args"] else None
    answer = messages_of_json(json_or_none(span.attributes.get("output.value")))
    return SpanContent(
        given=with_span(span, messages_of_json(request)),
        answer=with_span(span, answer) or _plain_output(span),
    )


def _plain_output(span: Span) -> list[Message]:
    value = span.attributes.get("output.value")
    # JSON without a message in it is data and not an answer.
    is_json = span.attributes.get("output.mime_type") == "application/json"
    if not isinstance(value, str) or not value.strip() or is_json:
        return []
    return [Message(role="assistant", content=value, span_id=span.span_id)]
