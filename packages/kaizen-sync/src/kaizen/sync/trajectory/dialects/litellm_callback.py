"""LiteLLM's own Phoenix callback: the conversation as a Python repr in `llm.<provider>.messages`.

`litellm_request` is of kind TOOL where tools are offered and loses every tool call; its child
`raw_gen_ai_request`, without a kind, has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import as_text, load_literal

if TYPE_CHECKING:
    from kaizen.sync.model import Span

_REQUEST, RAW = "litellm_request", "raw_gen_ai_request"
_PROVIDER = re.compile(r"llm\.\w+\.\w+")
_KEY = re.compile(r"llm\.(\w+)\.messages")


def is_model_call(span: Span) -> bool:
    return (span.name == _REQUEST and "llm.request.type" in span.attributes) or span.name == RAW


def recognises(span: Span) -> bool:
    return span.name == RAW


def read(span: Span) -> SpanContent:
    provider = next((match[1] for match in map(_KEY.fullmatch, span.attributes) if match), "")
    given = _literal(span.attributes.get(f"llm.{provider}.messages"))
    choices = _literal(span.attributes.get(f"llm.{provider}.choices"))
    return SpanContent(
        given=with_span(span, messages_of_json(given)),
        answer=with_span(span, messages_of_json({"choices": choices})),
    )


def tools(span: Span) -> list[str]:
    """Return the definitions of tools in a span of the callback, as JSON."""
    found = _literal(_of_provider(span, "tools"))
    return [as_text(one) for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def usage(span: Span) -> Mapping[str, Any]:
    """Return the token counts in a span of the callback, as the provider names them."""
    found = _literal(_of_provider(span, "usage"))
    return found if isinstance(found, Mapping) else {}


def _of_provider(span: Span, name: str) -> Any:
    keys = (key for key in span.attributes if key.endswith(f".{name}") and _PROVIDER.fullmatch(key))
    return next((span.attributes[key] for key in keys), None)


def _literal(value: Any) -> Any:
    try:
        return load_literal(value) if isinstance(value, str) else None
    except ValueError:
        return None
