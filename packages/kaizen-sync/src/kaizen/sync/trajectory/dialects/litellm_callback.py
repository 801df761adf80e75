"""LiteLLM's own Phoenix callback: the conversation as a Python repr in `llm.<provider>.messages`.

`litellm_request` is of kind TOOL where tools are offered and loses every tool call; its child
`raw_gen_ai_request`, without a kind, has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import load_literal

if TYPE_CHECKING:
    from kaizen.sync.model import Span

_REQUEST, _RAW = "litellm_request", "raw_gen_ai_request"
_KEY = re.compile(r"llm\.(\w+)\.messages")


def is_model_call(span: Span) -> bool:
    return (span.name == _REQUEST and "llm.request.type" in span.attributes) or span.name == _RAW


def recognises(span: Span) -> bool:
    return span.name == _RAW


def read(span: Span) -> SpanContent:
    provider = next((match[1] for match in map(_KEY.fullmatch, span.attributes) if match), "")
    given = _literal(span.attributes.get(f"llm.{provider}.messages"))
    choices = _literal(span.attributes.get(f"llm.{provider}.choices"))
    return SpanContent(
        given=with_span(span, messages_of_json(given)),
        answer=with_span(span, messages_of_json({"choices": choices})),
    )


def _literal(value: Any) -> Any:
    try:
        return load_literal(value) if isinstance(value, str) else None
    except ValueError:
        return None
