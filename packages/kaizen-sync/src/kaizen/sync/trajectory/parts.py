"""Message contents that are given in parts: text, images, tool calls and tool results.

Sources of the part types: OpenAI's chat completions and Responses APIs, Anthropic's content blocks, the GenAI
semantic conventions (`gen_ai.input.messages`), the Vercel AI SDK's model messages and Bedrock's Converse API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaizen.sync.model import Message, ToolCall
from kaizen.sync.trajectory.json_text import as_text

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]*,(.*)", re.DOTALL)

_TEXT = frozenset({"text", "input_text", "output_text", "summary_text", "refusal"})
_THOUGHT = frozenset({"reasoning", "thinking", "redacted_thinking", "encrypted_content"})
_CALL = frozenset({"tool_use", "tool_call", "tool-call", "function_call"})
_RESULT = frozenset({"tool_result", "tool_call_response", "tool-result", "function_call_output"})
_MEDIA = frozenset(
    {"image", "image_url", "input_image", "input_audio", "audio", "file", "blob", "uri", "document"}
)


@dataclass(slots=True)
class Parts:
    """The parts of one message by kind; images and files are placeholders in `texts`."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    results: list[Message] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(filter(None, self.texts))


def read_parts(content: Any) -> Parts:
    """Return the parts of a content, which may be plain text, one part or a list of them."""
    parts = Parts()
    if isinstance(content, Mapping) and isinstance(content.get("type"), str):
        content = [content]
    if not isinstance(content, list):
        parts.texts.append(as_text(content))
        return parts
    for part in content:
        if isinstance(part, Mapping):
            _read_part(part, parts)
        elif isinstance(part, str):
            parts.texts.append(part)
    return parts


def _read_part(part: Mapping[str, Any], parts: Parts) -> None:
    kind = as_text(part.get("type"))
    if kind in _THOUGHT:
        return
    if isinstance(use := part.get("toolUse"), Mapping):
        parts.calls.append(_call({**use, "id": use.get("toolUseId")}))
    elif isinstance(result := part.get("toolResult"), Mapping):
        parts.results.append(_bedrock_result(result))
    elif kind in _CALL:
        parts.calls.append(_call(part))
    elif kind in _RESULT:
        parts.results.append(_result(part))
    elif kind in _MEDIA or part.get("image_url"):
        parts.texts.append(_media(part))
    elif kind in _TEXT or not kind:
        text = next((part[key] for key in ("text", "content", "refusal") if part.get(key)), None)
        parts.texts.append(as_text(text))
    elif isinstance(part.get("text"), str):
        parts.texts.append(part["text"])
    else:
        parts.texts.append(f"[part of type {kind[:50]}]")


def _call(part: Mapping[str, Any]) -> ToolCall:
    arguments = next((part[key] for key in ("arguments", "input", "args") if key in part), None)
    return ToolCall(
        id=as_text(part.get("call_id") or part.get("toolCallId") or part.get("id")),
        name=as_text(part.get("name") or part.get("toolName")),
        arguments=as_text(arguments),
    )


def _result(part: Mapping[str, Any]) -> Message:
    held = (part.get(key) for key in ("response", "result", "output", "content"))
    value = next((one for one in held if one is not None), None)
    if isinstance(value, Mapping) and "value" in value and "type" in value:
        value = value["value"]
    ids = (part.get(key) for key in ("tool_use_id", "toolCallId", "tool_call_id", "call_id", "id"))
    return Message(
        role="tool",
        content=read_parts(value).text if is_parts(value) else as_text(value),
        tool_call_id=as_text(next(filter(None, ids), None)),
        name=as_text(part.get("name") or part.get("toolName")),
    )


def _bedrock_result(result: Mapping[str, Any]) -> Message:
    content = result.get("content")
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    texts = (as_text(block.get("text") or block.get("json")) for block in blocks)
    return Message(
        role="tool", content="\n".join(filter(None, texts)), tool_call_id=as_text(result.get("toolUseId"))
    )


def is_parts(value: Any) -> bool:
    """Return whether a content is a list of parts: a tool's result may be any other list."""
    return isinstance(value, list) and all(isinstance(p, Mapping) and "type" in p for p in value)


def _media(part: Mapping[str, Any]) -> str:
    url = part.get("image_url") or part.get("url") or part.get("uri") or part.get("image")
    if isinstance(url, Mapping):
        url = url.get("url")
    if url and isinstance(url, str):
        return image_placeholder(url)
    held = next(
        (part[k] for k in ("source", "input_audio", "file") if isinstance(part.get(k), Mapping)), part
    )
    data = next((held[k] for k in ("data", "content", "file_data") if isinstance(held.get(k), str)), "")
    if not data and isinstance(held.get("url"), str):
        return image_placeholder(held["url"])
    names = (held.get(key) for key in ("media_type", "mediaType", "mime_type", "format", "filename"))
    return placeholder(as_text(next(filter(None, names), "")) or as_text(part.get("type")), data)


def image_placeholder(url: str) -> str:
    """Return the placeholder of an image: its media type and size, never its bytes."""
    match = _DATA_URL.fullmatch(url)
    if not match:
        # A signed link carries its signature in the query.
        return f"[image: {url.partition('?')[0][:200]}]"
    return placeholder(match[1] or "unknown type", match[2])


def placeholder(media_type: str, base64: str) -> str:
    """Return the placeholder of an attachment that is given in base64."""
    noun = "image" if "/" not in media_type or media_type.startswith("image/") else "attachment"
    if media_type in ("wav", "mp3", "input_audio", "audio", "file", "document", "blob"):
        noun = "attachment"
    size = f", about {len(base64) * 3 // 4:,} bytes" if base64 else ""
    return f"[{noun}: {media_type[:100]}{size}]"
