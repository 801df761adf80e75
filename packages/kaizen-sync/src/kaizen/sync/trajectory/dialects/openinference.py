"""OpenInference's flat keys: `llm.input_messages.N.message...`, with `contents.N` parts.

Source: OpenInference semantic conventions, and what its instrumentors for OpenAI, LiteLLM, Anthropic, Gemini,
autogen and the Claude Agent SDK write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kaizen.sync.model import Message, Span, ToolCall
from kaizen.sync.trajectory.chat import make_message, read_calls, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import as_text, json_or_none
from kaizen.sync.trajectory.parts import image_placeholder

INPUT = "llm.input_messages."
OUTPUT = "llm.output_messages."
PARTS = "message.contents."
_CALLS = "message.tool_calls."
_CONTENT = "message.content."
_INDEX_DIGITS = 9  # longer ones are no index, and Python refuses to read them from 4,301 digits on


def recognises(span: Span) -> bool:
    return any(key.startswith((INPUT, OUTPUT)) for key in span.attributes)


def read(span: Span) -> SpanContent:
    return SpanContent(given=flat_messages(span, INPUT), answer=flat_messages(span, OUTPUT, "assistant"))


def flat_messages(span: Span, prefix: str, role: str = "") -> list[Message]:
    """Return the messages below a prefix, in the order of their numbers; `role` is for those without one."""
    return with_span(
        span, [m for fields in grouped(span.attributes, prefix) for m in _messages(fields, role)]
    )


def grouped(attributes: Mapping[str, Any], *prefixes: str) -> list[dict[str, Any]]:
    """Return what stands behind `<prefix><number>.`, by the rest of its key, in the order of the numbers."""
    groups: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        for prefix in prefixes:
            number, name = numbered(key, len(prefix)) if key.startswith(prefix) else (None, "")
            if number is not None:
                groups.setdefault(number, {})[name] = value
    return [fields for _, fields in sorted(groups.items())]


def numbered(key: str, start: int) -> tuple[int | None, str]:
    """Return the number at a position of a key and what follows its dot; None if there is no number."""
    digits, _, rest = key[start:].partition(".")
    if not digits.isdecimal() or len(digits) > _INDEX_DIGITS:
        return None, ""
    return int(digits), rest


def _messages(fields: Mapping[str, Any], role: str) -> list[Message]:
    results = (_function_result(value) for key, value in fields.items() if key.startswith("function."))
    if found := [result for result in results if result]:
        return found
    parts = grouped(fields, PARTS)
    # A content in several texts has a number for each, and nothing behind it.
    texts = [as_text([*text.values()][-1]) for text in grouped(fields, _CONTENT)]
    content = as_text(fields.get("message.content")) or "\n".join(texts)
    # The Responses API may give one text both as content and as a part.
    shown = [text for text in map(_part_text, parts) if text and text != content]
    message = make_message(
        role=as_text(fields.get("message.role")) or role,
        content="\n".join(filter(None, [content, *shown])),
        tool_calls=_tool_calls(fields, parts),
        tool_call_id=as_text(fields.get("message.tool_call_id")),
        name=as_text(fields.get("message.name")),
    )
    return [message] if message else []


def _tool_calls(fields: Mapping[str, Any], parts: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
    """Return the calls of a message; Anthropic's are among its parts too, and count once."""
    found = list(_read_calls(grouped(fields, _CALLS)))
    if name := as_text(fields.get("message.function_call_name")):
        arguments = as_text(fields.get("message.function_call_arguments_json"))
        found.append(ToolCall(id="", name=name, arguments=arguments))
    among_parts = [part for part in parts if any(key.startswith("tool_call.") for key in part)]
    return tuple(found) or _read_calls(among_parts)


def _read_calls(calls: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
    keys = ("tool_call.id", "tool_call.function.name", "tool_call.function.arguments")
    return read_calls(calls, *keys)


def _part_text(part: Mapping[str, Any]) -> str:
    if part.get("message_content.type") == "reasoning":
        return ""
    if "message_content.text" in part:
        return as_text(part["message_content.text"])
    keys = ("image.image.url", "image.url", "image_url.url")
    url = next(filter(None, (part.get(f"message_content.{key}") for key in keys)), "")
    return image_placeholder(as_text(url)) if url else ""


def _function_result(value: Any) -> Message | None:
    """Return autogen's result: `llm.input_messages.N.function.K`, as JSON with `content` and `call_id`."""
    result = json_or_none(value)
    if not isinstance(result, Mapping):
        return None
    content, call_id = as_text(result.get("content")), as_text(result.get("call_id"))
    return Message(role="tool", content=content, tool_call_id=call_id, name=as_text(result.get("name")))
