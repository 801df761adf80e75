"""Write responses as OpenAI sends them: one JSON object, or a stream of named events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kaizen.demo.wire import CREATED, call_id, digest, pieces, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.demo.scripted_model import Reply


def response(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """The whole response."""
    output = [_completed(item) for item in _items(body, reply)]
    return {**_head(body, reply, "completed"), "output": output, "usage": _usage(body, output)}


def response_events(body: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    """The same response in events, numbered."""
    for number, event in enumerate(_events(body, reply)):
        yield {**event, "sequence_number": number}


def _events(body: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    started = {**_head(body, reply, "in_progress"), "output": [], "usage": None}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(_items(body, reply)):
        where = {"item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.added", "output_index": index, "item": _opened(item)}
        yield from _message_events(item, where) if item["type"] == "message" else _call_events(item, where)
        yield {"type": "response.output_item.done", "output_index": index, "item": _completed(item)}
    yield {"type": "response.completed", "response": response(body, reply)}


def _message_events(item: dict[str, Any], where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    part = item["content"][0]
    where = {**where, "content_index": 0}
    yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": part}


def _call_events(item: dict[str, Any], where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **where, **done}


def _items(body: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    answer = reply.answer
    items: list[dict[str, Any]] = [
        {
            "id": f"fc_{digest([body, index])}",
            "type": "function_call",
            "call_id": call_id(body, index),
            "name": call.name,
            "arguments": json.dumps(call.arguments),
        }
        for index, call in enumerate(answer.tool_calls)
    ]
    if answer.text or not items:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        said = {"id": f"msg_{digest(body)}", "type": "message", "role": "assistant", "content": [part]}
        items.insert(0, said)
    return items


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"content": []} if item["type"] == "message" else {"arguments": ""}
    return {**item, **empty, "status": "in_progress"}


def _completed(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "status": "completed"}


def _head(body: dict[str, Any], reply: Reply, status: str) -> dict[str, Any]:
    return {
        # the id says where in which scenario this is, so that the server need not remember it
        "id": f"resp_{digest(body)}_{reply.step}_{reply.scenario}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": body.get("model", ""),
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
    }


def _usage(body: dict[str, Any], output: list[dict[str, Any]]) -> dict[str, Any]:
    asked = tokens(body.get("instructions"), body["input"], body.get("tools"))
    said = tokens(*(item.get("arguments") or item["content"][0]["text"] for item in output))
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }
