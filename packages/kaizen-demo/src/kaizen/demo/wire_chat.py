"""Write chat completions as OpenAI sends them: one JSON object, or a stream of chunks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kaizen.demo.scenario import Answer
from kaizen.demo.wire import CREATED, call_id, digest, pieces, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator


def chat_completion(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The whole completion."""
    content = answer.text or (None if answer.tool_calls else "")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content,
        "refusal": None,
        "annotations": [],
    }
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(body, answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return {
        **_head(body, "chat.completion"),
        "choices": [choice],
        "usage": _usage(body, answer),
    }


def given_completion(body: dict[str, Any], message: dict[str, Any], finish_reason: str) -> dict[str, Any]:
    """Return a completion with these fields of the message, as a provider other than OpenAI may send it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, **message},
        "finish_reason": finish_reason,
    }
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": _usage(body, Answer())}


def chat_chunks(body: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    """The same completion in chunks; usage comes last, and only when asked for."""
    head = _head(body, "chat.completion.chunk")
    include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    if include_usage:
        # If usage is asked for, OpenAI has the key in every chunk.
        head["usage"] = None
    for delta in _deltas(body, answer):
        yield {**head, "choices": [_chunk_choice(delta, None)]}
    yield {**head, "choices": [_chunk_choice({}, _finish_reason(answer))]}
    if include_usage:
        yield {**head, "choices": [], "usage": _usage(body, answer)}


def _deltas(body: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "" if answer.text or not answer.tool_calls else None}
    for piece in pieces(answer.text):
        yield {"content": piece}
    for index, call in enumerate(_tool_calls(body, answer)):
        function = call["function"]
        opening = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [opening]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{digest(body)}",
        "object": kind,
        "created": CREATED,
        "model": body.get("model", ""),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def _chunk_choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool_calls else "stop"


def _tool_calls(body: dict[str, Any], answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": call_id(body, index),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for index, call in enumerate(answer.tool_calls)
    ]


def _usage(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    asked, said = tokens(body["messages"], body.get("tools")), tokens(answer.text, _tool_calls(body, answer))
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
