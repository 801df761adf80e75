"""Span attributes to chat messages: OpenInference's flat keys first, then the raw JSON values.

Sources of the shapes: OpenInference semantic conventions (`llm.input_messages`, `message.contents`,
`message.tool_calls`), OpenAI's chat completions and Responses APIs, and spans recorded from the four
frameworks.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kaizen.sync.model import Message, Span, ToolCall

_MESSAGE_KEY = re.compile(r"llm\.(input|output)_messages\.(\d{1,9})\.message\.(.+)", re.DOTALL)
_CONTENT_KEY = re.compile(r"contents\.(\d{1,9})\.message_content\.(.+)", re.DOTALL)
_TOOL_CALL_KEY = re.compile(r"tool_calls\.(\d{1,9})\.tool_call\.(.+)", re.DOTALL)
_TOOL_SCHEMA_KEY = re.compile(r"llm\.tools\.(\d{1,9})\.tool\.json_schema")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]*,(.*)", re.DOTALL)

_ROLES = {"developer": "system", "model": "assistant", "ai": "assistant", "human": "user", "function": "tool"}
_SMOLAGENTS_CALL = "tool-call"
_SMOLAGENTS_RESPONSE = "tool-response"


def input_messages(span: Span) -> list[Message]:
    """What the model was given, in order; empty where the span does not tell."""
    flat = _flat_messages(span, "input")
    return merge_assistants(flat or _with_span(span, messages_of_json(_json_value(span, "input.value"))))


def output_messages(span: Span) -> list[Message]:
    """What the model answered: at most one message, since an answer given in items is merged."""
    messages = _flat_messages(span, "output")
    if not messages:
        messages = _with_span(span, messages_of_json(_json_value(span, "output.value")))
    if not messages:
        messages = _plain_output(span)
    return merge_assistants([message for message in messages if message.role == "assistant"])


def merge_assistants(messages: Sequence[Message]) -> list[Message]:
    """Join neighbouring assistant messages: some APIs give text and each tool call as an item of its own."""
    merged: list[Message] = []
    for message in messages:
        if message.role == "assistant" and merged and merged[-1].role == "assistant":
            texts = [text for text in (merged[-1].content, message.content) if text]
            merged[-1] = replace(
                merged[-1],
                content="\n".join(dict.fromkeys(texts)),
                tool_calls=merged[-1].tool_calls + message.tool_calls,
            )
        elif message.role != "assistant" or message.content or message.tool_calls:
            merged.append(message)
    return merged


def tool_schemas(span: Span) -> list[str]:
    """The JSON schemas of the tools that the model was offered, as text."""
    found = ((_TOOL_SCHEMA_KEY.fullmatch(key), value) for key, value in span.attributes.items())
    schemas = [(int(match[1]), _text(value)) for match, value in found if match]
    return [schema for _, schema in sorted(schemas)]


def response_ids(span: Span) -> tuple[str, str]:
    """The id of an answer of the Responses API and the id of the one it follows, each empty if unknown."""
    value = _json_value(span, "output.value")
    if not isinstance(value, dict) or value.get("object") != "response":
        return "", ""
    return _text(value.get("id")), _text(value.get("previous_response_id"))


def canonical_arguments(arguments: str) -> str:
    """Tool arguments in one spelling, so that re-serialised ones compare equal."""
    try:
        return json.dumps(load_json(arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments.strip()


def load_json(text: str) -> Any:
    """The JSON value of a text; raises `ValueError` for what is none, also where it is nested without end."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _flat_messages(span: Span, direction: str) -> list[Message]:
    fields: dict[int, dict[str, Any]] = {}
    for key, value in span.attributes.items():
        match = _MESSAGE_KEY.fullmatch(key)
        if match and match[1] == direction:
            fields.setdefault(int(match[2]), {})[match[3]] = value
    messages = [_flat_message(fields[index]) for index in sorted(fields)]
    return _with_span(span, [message for message in messages if message is not None])


def _flat_message(fields: Mapping[str, Any]) -> Message | None:
    parts: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[str, Any]] = {}
    for key, value in fields.items():
        if match := _CONTENT_KEY.fullmatch(key):
            parts.setdefault(int(match[1]), {})[match[2]] = value
        elif match := _TOOL_CALL_KEY.fullmatch(key):
            calls.setdefault(int(match[1]), {})[match[2]] = value
    tool_calls = [
        ToolCall(
            id=_text(call.get("id")),
            name=_text(call.get("function.name")),
            arguments=_text(call.get("function.arguments")),
        )
        for _, call in sorted(calls.items())
    ]
    if name := _text(fields.get("function_call_name")):
        arguments = _text(fields.get("function_call_arguments_json"))
        tool_calls.append(ToolCall(id="", name=name, arguments=arguments))
    texts = [_part_text(part) for _, part in sorted(parts.items())]
    content = _text(fields.get("content"))
    # The Responses API may give one text both as content and as a part.
    texts = [text for text in texts if text and text != content]
    return _message(
        role=_text(fields.get("role")),
        content="\n".join(filter(None, [content, *texts])),
        tool_calls=tuple(tool_calls),
        tool_call_id=_text(fields.get("tool_call_id")),
        name=_text(fields.get("name")),
    )


def _part_text(part: Mapping[str, Any]) -> str:
    if part.get("type") == "reasoning":
        return ""
    if "text" in part:
        return _text(part["text"])
    url = part.get("image.image.url") or part.get("image.url") or part.get("image_url.url")
    return image_placeholder(_text(url)) if url else ""


def image_placeholder(url: str) -> str:
    """What stands for an image: its media type and size, never its bytes."""
    match = _DATA_URL.fullmatch(url)
    if not match:
        # A signed link carries its signature in the query.
        return f"[image: {url.partition('?')[0][:200]}]"
    return f"[image: {match[1] or 'unknown type'}, about {len(match[2]) * 3 // 4:,} bytes]"


def _message(
    *,
    role: str,
    content: str,
    tool_calls: tuple[ToolCall, ...] = (),
    tool_call_id: str = "",
    name: str = "",
) -> Message | None:
    if role == _SMOLAGENTS_CALL:
        calls = _calls_in_text(content)
        return Message(role="assistant", content="" if calls else content, tool_calls=calls)
    if role == _SMOLAGENTS_RESPONSE:
        return Message(role="tool", content=content.removeprefix("Observation:").strip())
    role = _ROLES.get(role, role) or ("assistant" if tool_calls else "")
    if not role or not (content or tool_calls or tool_call_id or role == "assistant"):
        return None
    return Message(role=role, content=content, tool_calls=tool_calls, tool_call_id=tool_call_id, name=name)


def _calls_in_text(content: str) -> tuple[ToolCall, ...]:
    """smolagents writes the calls into the prompt as a Python list after `Calling tools:`."""
    _, _, text = content.partition("Calling tools:")
    try:
        calls = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(calls, list):
        return ()
    functions = [(call.get("id"), call.get("function")) for call in calls if isinstance(call, dict)]
    return tuple(
        ToolCall(
            id=_text(call_id), name=_text(function.get("name")), arguments=_text(function.get("arguments"))
        )
        for call_id, function in functions
        if isinstance(function, dict)
    )


def _json_value(span: Span, key: str) -> Any:
    value = span.attributes.get(key)
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value if isinstance(value, dict | list) else None
    try:
        return load_json(value)
    except ValueError:
        return None


def messages_of_json(value: Any) -> list[Message]:
    """Messages in a request or a response of the chat completions or the Responses API."""
    if isinstance(value, list):
        items = [item for item in value if isinstance(item, dict)]
        return [message for item in items for message in messages_of_json(item)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("messages"), list):
        return messages_of_json(value["messages"])
    if isinstance(value.get("choices"), list):
        first = next((choice for choice in value["choices"] if isinstance(choice, dict)), {})
        return messages_of_json(first.get("message"))
    if isinstance(value.get("output"), list):
        return messages_of_json(value["output"])
    if "input" in value and ("model" in value or "instructions" in value):
        given = value["input"]
        asked = [Message(role="user", content=given)] if isinstance(given, str) else messages_of_json(given)
        instructions = _text(value.get("instructions"))
        return [Message(role="system", content=instructions), *asked] if instructions else asked
    message = _message_of_json(value)
    return [message] if message else []


def _message_of_json(value: Mapping[str, Any]) -> Message | None:
    kind = value.get("type")
    if kind == "function_call":
        call = ToolCall(
            id=_text(value.get("call_id") or value.get("id")),
            name=_text(value.get("name")),
            arguments=_text(value.get("arguments")),
        )
        return Message(role="assistant", tool_calls=(call,))
    if kind == "function_call_output":
        return Message(
            role="tool", content=_text(value.get("output")), tool_call_id=_text(value.get("call_id"))
        )
    if not isinstance(value.get("role"), str):
        return None
    calls = value.get("tool_calls")
    functions = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return _message(
        role=value["role"],
        content=_json_content(value.get("content")),
        tool_calls=tuple(
            ToolCall(
                id=_text(call.get("id")),
                name=_text(call["function"].get("name")),
                arguments=_text(call["function"].get("arguments")),
            )
            for call in functions
            if isinstance(call.get("function"), dict)
        ),
        tool_call_id=_text(value.get("tool_call_id")),
        name=_text(value.get("name")),
    )


def _json_content(content: Any) -> str:
    if not isinstance(content, list):
        return _text(content)
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and part.get("image_url"):
            image = part["image_url"]
            url = image.get("url") if isinstance(image, dict) else image
            texts.append(image_placeholder(_text(url)))
    return "\n".join(filter(None, texts))


def _plain_output(span: Span) -> list[Message]:
    value = span.attributes.get("output.value")
    is_json = span.attributes.get("output.mime_type") == "application/json"
    if not isinstance(value, str) or not value.strip() or is_json:
        return []
    return [Message(role="assistant", content=value, span_id=span.span_id)]


def _with_span(span: Span, messages: Sequence[Message]) -> list[Message]:
    return [replace(message, span_id=span.span_id) for message in messages]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
