"""OpenLLMetry's older keys: `gen_ai.prompt.N...` and `gen_ai.completion.N...`, or `llm.prompts.N...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaizen.sync.model import Message, Span, ToolCall
from kaizen.sync.trajectory.chat import make_message, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.dialects.openinference import numbered
from kaizen.sync.trajectory.json_text import as_text, json_or_none
from kaizen.sync.trajectory.parts import read_parts

_PROMPTS = ("gen_ai.prompt.", "llm.prompts.")
_COMPLETIONS = ("gen_ai.completion.", "llm.completions.")


def recognises(span: Span) -> bool:
    return any(key.startswith((*_PROMPTS, *_COMPLETIONS)) for key in span.attributes)


def read(span: Span) -> SpanContent:
    return SpanContent(
        given=with_span(span, _messages(span, _PROMPTS, "user")),
        # The thinking of Anthropic's models is a completion of its own, before the answer.
        answer=with_span(span, _messages(span, _COMPLETIONS, "assistant")[:1]),
    )


def _messages(span: Span, prefixes: tuple[str, ...], role: str) -> list[Message]:
    messages: dict[int, dict[str, Any]] = {}
    for key, value in span.attributes.items():
        for prefix in prefixes:
            number, name = numbered(key, len(prefix)) if key.startswith(prefix) else (None, "")
            if number is not None and name:
                messages.setdefault(number, {})[name] = value
    found = [_message(fields, role) for _, fields in sorted(messages.items())]
    return [message for message in found if message]


def _message(fields: Mapping[str, Any], role: str) -> Message | None:
    calls: dict[int, dict[str, Any]] = {}
    for key, value in fields.items():
        number, name = numbered(key, 11) if key.startswith("tool_calls.") else (None, "")
        if number is not None:
            calls.setdefault(number, {})[name] = value
    content = as_text(fields.get("content"))
    parts = json_or_none(content) if content.startswith("[{") else None
    return make_message(
        role=as_text(fields.get("role")) or role,
        content=read_parts(parts).text if _is_parts(parts) else content,
        tool_calls=tuple(
            ToolCall(
                id=as_text(c.get("id")), name=as_text(c.get("name")), arguments=as_text(c.get("arguments"))
            )
            for _, c in sorted(calls.items())
        ),
        tool_call_id=as_text(fields.get("tool_call_id")),
    )


def _is_parts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, Mapping) and "type" in part for part in value)
