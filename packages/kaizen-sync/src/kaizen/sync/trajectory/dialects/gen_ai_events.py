"""The GenAI semantic conventions in span events, as they were before messages moved to attributes.

One event a message (`gen_ai.user.message`, `gen_ai.choice`), before that one for the prompt and one for the
completion, and today one for both (`gen_ai.client.inference.operation.details`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.dialects.gen_ai_attributes import read_attributes
from kaizen.sync.trajectory.json_text import json_or_none

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span, SpanEvent

_DETAILS = "gen_ai.client.inference.operation.details"
_PROMPT, _COMPLETION = "gen_ai.content.prompt", "gen_ai.content.completion"
_CHOICE = "gen_ai.choice"
_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_NAMES = frozenset({_DETAILS, _PROMPT, _COMPLETION, _CHOICE, *_ROLES})


def recognises(span: Span) -> bool:
    return any(event.name in _NAMES for event in span.events)


def read(span: Span) -> SpanContent:
    given: list[Message] = []
    answer: list[Message] = []
    for event in span.events:
        if event.name == _DETAILS:
            return read_attributes(span, event.attributes)
        if event.name == _PROMPT:
            given += messages_of_json(json_or_none(event.attributes.get("gen_ai.prompt")))
        elif event.name == _COMPLETION:
            answer += messages_of_json(json_or_none(event.attributes.get("gen_ai.completion")))
        elif event.name == _CHOICE:
            answer += messages_of_json(_choice(event))
        elif event.name in _ROLES:
            given += messages_of_json({"role": _ROLES[event.name], **_body(event)})
    return SpanContent(given=with_span(span, given), answer=with_span(span, answer[:1]))


def _body(event: SpanEvent) -> dict[str, Any]:
    """Return the body of an event: JSON in `gen_ai.event.content`, or its fields as attributes."""
    body = json_or_none(event.attributes.get("gen_ai.event.content"))
    fields = dict(body if isinstance(body, Mapping) else event.attributes)
    if isinstance(fields.get("tool_calls"), str):
        fields["tool_calls"] = json_or_none(fields["tool_calls"])
    if event.name == "gen_ai.tool.message" and "id" in fields:
        fields["tool_call_id"] = fields["id"]
    return fields


def _choice(event: SpanEvent) -> dict[str, Any]:
    body = _body(event)
    message = body.get("message")
    if isinstance(message, str):
        message = json_or_none(message) or {"content": message}
    return {"role": "assistant", **(message if isinstance(message, Mapping) else body)}
