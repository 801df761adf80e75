"""The Vercel AI SDK: `ai.prompt.messages` and `ai.response.text` on `ai.generateText.doGenerate`."""

from __future__ import annotations

from collections.abc import Mapping

from kaizen.sync.model import Message, Span
from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import as_text, json_or_none
from kaizen.sync.trajectory.parts import read_parts

_OPERATION = "ai.operationId"
_CALLS = ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject")
_INNER = ("doGenerate", "doStream")


def recognises(span: Span) -> bool:
    return "ai.prompt.messages" in span.attributes or "ai.prompt" in span.attributes


def is_model_call(span: Span) -> bool:
    """Return whether a span is a request to the model; the span around it counts only without one."""
    operation = as_text(span.attributes.get(_OPERATION))
    return operation.startswith(_CALLS) and operation.endswith(_INNER)


def is_outer_call(span: Span) -> bool:
    return span.attributes.get(_OPERATION) in _CALLS


def read(span: Span) -> SpanContent:
    prompt = json_or_none(span.attributes.get("ai.prompt"))
    given = messages_of_json(json_or_none(span.attributes.get("ai.prompt.messages")))
    if not given and isinstance(prompt, Mapping):
        asked = prompt.get("prompt")
        given = messages_of_json({"messages": [], **prompt})
        given += [Message(role="user", content=asked)] if isinstance(asked, str) else messages_of_json(asked)
    return SpanContent(given=with_span(span, given), answer=with_span(span, _answer(span)))


def _answer(span: Span) -> list[Message]:
    calls = json_or_none(span.attributes.get("ai.response.toolCalls"))
    listed = calls if isinstance(calls, list) else ()
    items = [{**call, "type": "tool-call"} for call in listed if isinstance(call, Mapping)]
    parts = read_parts(items)
    text = as_text(span.attributes.get("ai.response.text") or span.attributes.get("ai.response.object"))
    if not text and not parts.calls:
        return []
    return [Message(role="assistant", content=text, tool_calls=tuple(parts.calls))]
