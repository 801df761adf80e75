"""Calls that complete a text: `llm.prompts` and `llm.output_messages` or `llm.choices` as plain values.

Source: OpenInference's instrumentors of the older completion APIs of Anthropic and OpenAI.
"""

from __future__ import annotations

from typing import Any

from kaizen.sync.model import Message, Span
from kaizen.sync.trajectory.chat import with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent

_PROMPT = "llm.prompts.0.prompt.text"
_CHOICE = "llm.choices.0.completion.text"


def recognises(span: Span) -> bool:
    return any(key in span.attributes for key in ("llm.prompts", _PROMPT, _CHOICE))


def read(span: Span) -> SpanContent:
    attributes = span.attributes
    prompts = attributes.get("llm.prompts")
    # The instrumentor writes a list, whether there is one prompt or several.
    prompts = prompts[0] if isinstance(prompts, list) and len(prompts) == 1 else prompts
    prompt = attributes.get(_PROMPT) or prompts
    choice = attributes.get(_CHOICE) or attributes.get("llm.output_messages")
    return SpanContent(
        given=with_span(span, _message("user", prompt)), answer=with_span(span, _message("assistant", choice))
    )


def _message(role: str, text: Any) -> list[Message]:
    return [Message(role=role, content=text)] if isinstance(text, str) and text.strip() else []
