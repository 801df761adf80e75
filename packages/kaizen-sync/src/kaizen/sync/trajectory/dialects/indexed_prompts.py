"""OpenLLMetry's older keys: `gen_ai.prompt.N...` and `gen_ai.completion.N...`, or `llm.prompts.N...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.chat import make_message, read_calls, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.dialects.openinference import grouped
from kaizen.sync.trajectory.json_text import as_text, json_or_none
from kaizen.sync.trajectory.parts import is_parts, read_parts

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span

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
    # A number without a name behind it, as in `gen_ai.prompt.0`, is not a message.
    named = [fields for fields in grouped(span.attributes, *prefixes) if fields.keys() - {""}]
    return [message for fields in named if (message := _message(fields, role))]


def _message(fields: Mapping[str, Any], role: str) -> Message | None:
    content = as_text(fields.get("content"))
    parts = json_or_none(content) if content.startswith("[{") else None
    return make_message(
        role=as_text(fields.get("role")) or role,
        content=read_parts(parts).text if is_parts(parts) else content,
        tool_calls=read_calls(grouped(fields, "tool_calls.")),
        tool_call_id=as_text(fields.get("tool_call_id")),
    )
