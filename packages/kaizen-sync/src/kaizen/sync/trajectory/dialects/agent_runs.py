"""Whole runs on an AGENT span, where their model calls are not traced: pydantic-ai, Claude Agent SDK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kaizen.sync.model import Message, Span
from kaizen.sync.trajectory.chat import merge_assistants, messages_of_json, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.dialects.openinference import OUTPUT, PARTS, flat_messages, numbered
from kaizen.sync.trajectory.json_text import json_or_none

_PYDANTIC_AI = "pydantic_ai.all_messages"
_CLAUDE = "ClaudeAgentSDK."
_TURNS = 1_000


def recognises_pydantic_ai(span: Span) -> bool:
    return _PYDANTIC_AI in span.attributes


def read_pydantic_ai(span: Span) -> SpanContent:
    messages = messages_of_json(json_or_none(span.attributes[_PYDANTIC_AI]))
    return _reading(merge_assistants(with_span(span, messages)))


def recognises_claude(span: Span) -> bool:
    return span.name.startswith(_CLAUDE) and any(key.startswith(OUTPUT) for key in span.attributes)


def read_claude(span: Span) -> SpanContent:
    """Read the prompt and all that the agent said and called; results are on TOOL spans."""
    asked = span.attributes.get("input.value")
    given = [Message(role="user", content=asked)] if isinstance(asked, str) and asked.strip() else []
    said = flat_messages(_split_at_calls(span), OUTPUT)
    return _reading([*with_span(span, given), *_joined(with_span(span, said))])


def _split_at_calls(span: Span) -> Span:
    """Return the span with text after a tool use as a message of its own: a result came between."""
    turns = _turns(span)
    attributes: dict[str, Any] = {}
    for key, value in span.attributes.items():
        number, name = numbered(key, len(OUTPUT)) if key.startswith(OUTPUT) else (None, "")
        if number is None:
            continue
        part, _ = numbered(name, len(PARTS)) if name.startswith(PARTS) else (None, "")
        place = f"{OUTPUT}{number * _TURNS + turns.get((number, part), 0)}."
        attributes[place + name] = value
        attributes.setdefault(f"{place}message.role", "assistant")
    return replace(span, attributes=attributes)


def _turns(span: Span) -> dict[tuple[int, int | None], int]:
    """Return for each part the turn of its message that it is in; a turn ends with its tool uses."""
    kinds: dict[tuple[int, int | None], Any] = {}
    for key, value in span.attributes.items():
        if key.startswith(OUTPUT) and key.endswith(".message_content.type"):
            number, name = numbered(key, len(OUTPUT))
            part, _ = numbered(name, len(PARTS)) if name.startswith(PARTS) else (None, "")
            if number is not None and part is not None:
                kinds[number, part] = value
    turns: dict[tuple[int, int | None], int] = {}
    turn, used, newest = 0, False, -1
    for number, part in sorted(kinds, key=lambda place: (place[0], place[1] or 0)):
        if number != newest:
            turn, used, newest = 0, False, number
        if used and kinds[number, part] == "text":
            turn, used = min(turn + 1, _TURNS - 1), False
        used = used or kinds[number, part] == "tool_use"
        turns[number, part] = turn
    return turns


def _joined(said: Sequence[Message]) -> list[Message]:
    """Join the messages up to each tool use; drop empty ones."""
    joined: list[Message] = []
    for message in said:
        if not (message.content or message.tool_calls):
            continue
        if joined and not joined[-1].tool_calls:
            content = "\n".join(filter(None, [joined[-1].content, message.content]))
            joined[-1] = replace(joined[-1], content=content, tool_calls=message.tool_calls)
        else:
            joined.append(message)
    return joined


def _reading(messages: Sequence[Message]) -> SpanContent:
    if messages and messages[-1].role == "assistant":
        return SpanContent(given=list(messages[:-1]), answer=[messages[-1]])
    return SpanContent(given=list(messages))
