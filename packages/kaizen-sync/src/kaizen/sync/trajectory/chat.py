"""Chat messages with OpenAI's roles, made from the parts of a span or from JSON of many shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kaizen.sync.model import Message, Span, ToolCall
from kaizen.sync.trajectory.json_text import as_text, load_literal
from kaizen.sync.trajectory.parts import read_parts

_ROLES = {"developer": "system", "model": "assistant", "ai": "assistant", "human": "user", "function": "tool"}
_THOUGHTS = frozenset({"thinking", "reasoning", "thought"})
# Bedrock's agents write the results that a model is given as Java does.
_BEDROCK_RESULT = re.compile(r"\[\{tool_use_id=([\w-]+), type=tool_result, content=\[(.*)\]\}\]", re.DOTALL)
_BEDROCK_TEXT = re.compile(r"Content\{type=text, text=(.*)\}", re.DOTALL)
_SMOLAGENTS_CALL = "tool-call"
_SMOLAGENTS_RESPONSE = "tool-response"


def make_message(
    *,
    role: str,
    content: str = "",
    tool_calls: tuple[ToolCall, ...] = (),
    tool_call_id: str = "",
    name: str = "",
) -> Message | None:
    """Return a message with the role that OpenAI has for it; None if it is empty."""
    if role == _SMOLAGENTS_CALL:
        calls = _calls_in_text(content)
        return Message(role="assistant", content="" if calls else content, tool_calls=calls)
    if role == _SMOLAGENTS_RESPONSE:
        return Message(role="tool", content=content.removeprefix("Observation:").strip())
    if role in _THOUGHTS:
        return None
    # What calls tools and has no role can only be the assistant.
    role = _ROLES.get(role, role) or ("assistant" if tool_calls else "")
    if role == "user" and (result := _bedrock_result(content)):
        return result
    # Anthropic's API takes the results of tools from the user.
    if role == "user" and tool_call_id and not tool_calls:
        role = "tool"
    if not role or not (content or tool_calls or tool_call_id or role == "assistant"):
        return None
    return Message(role=role, content=content, tool_calls=tool_calls, tool_call_id=tool_call_id, name=name)


def _bedrock_result(content: str) -> Message | None:
    match = _BEDROCK_RESULT.fullmatch(content) if content.startswith("[{tool_use_id=") else None
    if match is None:
        return None
    text = _BEDROCK_TEXT.fullmatch(match[2])
    return Message(role="tool", content=text[1] if text else match[2], tool_call_id=match[1])


def _calls_in_text(content: str) -> tuple[ToolCall, ...]:
    """Return the calls that smolagents writes into a prompt as a Python list after `Calling tools:`."""
    _, _, text = content.partition("Calling tools:")
    try:
        calls = load_literal(text)
    except ValueError:
        return ()
    return _functions(calls)


def _functions(calls: Any) -> tuple[ToolCall, ...]:
    """Return the calls of `[{"id": ..., "function": {"name": ..., "arguments": ...}}]`."""
    found = [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    functions = [call for call in found if isinstance(call.get("function"), Mapping)]
    return read_calls([{**call["function"], "id": call.get("id")} for call in functions])


def read_calls(
    calls: Any, id_key: str = "id", name_key: str = "name", arguments_key: str = "arguments"
) -> tuple[ToolCall, ...]:
    """Return the calls in a list of JSON objects, by the keys of their fields; anything else is left out."""
    return tuple(
        ToolCall(
            id=as_text(call.get(id_key)),
            name=as_text(call.get(name_key)),
            arguments=as_text(call.get(arguments_key)),
        )
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, Mapping)
    )


def messages_of_json(value: Any) -> list[Message]:
    """Return the messages in a JSON value: a message, an item, a list of them, a request or a response."""
    if isinstance(value, list):
        return [message for one in value if isinstance(one, Mapping) for message in messages_of_json(one)]
    if not isinstance(value, Mapping):
        return []
    if isinstance(value.get("messages"), list):
        system = read_parts(value.get("system")).text
        before = [Message(role="system", content=system)] if system else []
        return before + messages_of_json(value["messages"])
    if isinstance(value.get("choices"), list):
        first = next((choice for choice in value["choices"] if isinstance(choice, Mapping)), {})
        return messages_of_json(first.get("message"))
    output = value.get("output")
    if isinstance(output, Mapping) and isinstance(output.get("message"), Mapping):
        return messages_of_json(output["message"])
    if isinstance(output, list):
        return messages_of_json(output)
    if "input" in value and ("model" in value or "instructions" in value):
        given = value["input"]
        asked = [Message(role="user", content=given)] if isinstance(given, str) else messages_of_json(given)
        instructions = as_text(value.get("instructions"))
        return [Message(role="system", content=instructions), *asked] if instructions else asked
    return _messages_of_one(value)


def _messages_of_one(value: Mapping[str, Any]) -> list[Message]:
    kind = value.get("type")
    if kind in ("function_call", "function_call_output"):
        parts = read_parts(value)
        if parts.calls:
            return [Message(role="assistant", tool_calls=tuple(parts.calls))]
        return parts.results
    if not isinstance(value.get("role"), str):
        return []
    parts = read_parts(value["parts"] if isinstance(value.get("parts"), list) else value.get("content"))
    message = make_message(
        role=value["role"],
        content=parts.text,
        tool_calls=_functions(value.get("tool_calls")) or tuple(parts.calls),
        tool_call_id=as_text(value.get("tool_call_id")),
        name=as_text(value.get("name")),
    )
    # A message of Anthropic's, or of the GenAI conventions, holds the results of all calls before it.
    if parts.results and (message is None or not (message.content or message.tool_calls)):
        return parts.results
    return [*parts.results, message] if message else parts.results


def merge_assistants(messages: Sequence[Message]) -> list[Message]:
    """Join neighbouring assistant messages: some APIs give text and each tool call as an item of its own.

    An assistant message with nothing in it goes, unless a tool's result follows: its calls were lost.
    """
    merged: list[Message] = []
    for number, message in enumerate(messages):
        if message.role != "assistant":
            merged.append(message)
        elif merged and merged[-1].role == "assistant":
            texts = [text for text in (merged[-1].content, message.content) if text]
            merged[-1] = replace(
                merged[-1],
                content="\n".join(dict.fromkeys(texts)),
                tool_calls=merged[-1].tool_calls + message.tool_calls,
            )
        elif message.content or message.tool_calls or _is_tool(messages, number + 1):
            merged.append(message)
    return [m for n, m in enumerate(merged) if not is_empty_answer(m) or _is_tool(merged, n + 1)]


def _is_tool(messages: Sequence[Message], number: int) -> bool:
    return number < len(messages) and messages[number].role == "tool"


def is_empty_answer(message: Message) -> bool:
    """Return whether an assistant message has neither text nor calls."""
    return message.role == "assistant" and not (message.content or message.tool_calls)


def with_span(span: Span, messages: Sequence[Message]) -> list[Message]:
    """Return the messages with the id of the span that they were read from."""
    return [replace(message, span_id=span.span_id) for message in messages]
