"""The GenAI semantic conventions in attributes: `gen_ai.input.messages`, a JSON list of messages in parts.

Source: OpenTelemetry semantic conventions for GenAI, 1.37 and later. Phoenix keeps these attributes and adds
its own conversion as `llm.input_messages...`, which loses results of some frameworks: the original is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaizen.sync.model import Message, Span
from kaizen.sync.trajectory.chat import messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import json_or_none
from kaizen.sync.trajectory.parts import read_parts

INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
SYSTEM = "gen_ai.system_instructions"
_OPERATIONS = ("chat", "text_completion", "generate_content")


def recognises(span: Span) -> bool:
    return INPUT in span.attributes or OUTPUT in span.attributes


def is_model_call(span: Span) -> bool:
    return span.attributes.get("gen_ai.operation.name") in _OPERATIONS


def read(span: Span) -> SpanContent:
    return read_attributes(span, span.attributes)


def read_attributes(span: Span, attributes: Mapping[str, Any]) -> SpanContent:
    """Read the messages in the attributes of a span or of one of its events."""
    system = read_parts(_value(attributes.get(SYSTEM))).text
    before = [Message(role="system", content=system)] if system else []
    given = messages_of_json(_value(attributes.get(INPUT)))
    return SpanContent(
        given=with_span(span, [*before, *given]) if given else [],
        # Of several choices the first goes on into the conversation.
        answer=with_span(span, messages_of_json(_value(attributes.get(OUTPUT)))[:1]),
    )


def _value(value: Any) -> Any:
    """Return the value of an attribute that is JSON text; span events may hold it as a list."""
    return json_or_none(value) if isinstance(value, str) else value
