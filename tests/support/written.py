"""Spans and conversations written as files: as OTLP's exporters, Claude Code and Codex write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kaizen.sync.model import Span

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def append(path: Path, *values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def otlp(*spans: Span, **resource: str) -> dict[str, Any]:
    """An export request as the Collector writes it: one line."""
    scope = {"scope": {"name": "openinference"}, "spans": [_otlp_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _pairs(resource)}, "scopeSpans": [scope]}]}


def _otlp_span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **({"parentSpanId": span.parent_id} if span.parent_id else {}),
        "name": span.name,
        "kind": 1,
        "startTimeUnixNano": _nanoseconds(span.start_time),
        "endTimeUnixNano": _nanoseconds(span.end_time),
        "attributes": _pairs({**span.attributes, "openinference.span.kind": span.kind}),
        "status": {"code": {"OK": 1, "ERROR": 2}.get(span.status, 0), "message": span.status_message},
        "events": [{"name": e.name, "attributes": _pairs(e.attributes)} for e in span.events],
    }


def _nanoseconds(time: datetime) -> str:
    return str((time - EPOCH) // timedelta(microseconds=1) * 1000)


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value}


def claude_lines(
    messages: Sequence[Mapping[str, Any]],
    *,
    session: str,
    start: datetime,
    cwd: str = "/work/app",
    **more: Any,
) -> list[dict[str, Any]]:
    """The lines of a session of Claude Code, from messages of OpenAI's chat format, a second apart."""
    lines: list[dict[str, Any]] = []
    parent = more.pop("parent", None)
    for number, message in enumerate(messages):
        role = "assistant" if message["role"] == "assistant" else "user"
        uuid = f"{more.get('agentId', session)}-{more.get('first', 0) + number}"
        content: Any = message.get("content") or ""
        if message["role"] == "tool":
            result = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content}
            content = [{**result, "is_error": True} if message.get("is_error") else result]
        elif role == "assistant":
            text = [{"type": "text", "text": content}] if content else []
            content = text + [
                {
                    "type": "tool_use",
                    "id": call["id"],
                    "name": call["function"]["name"],
                    "input": json.loads(call["function"]["arguments"]),
                }
                for call in message.get("tool_calls") or ()
            ]
        said: dict[str, Any] = {"role": role, "content": content}
        if role == "assistant":
            usage = {"input_tokens": 4, "cache_read_input_tokens": 90, "output_tokens": 10}
            said = {
                "id": f"msg_{uuid}",
                "type": "message",
                "model": "claude-opus-4-5",
                **said,
                "usage": usage,
            }
        time = start + timedelta(seconds=number)
        lines.append(
            {
                "parentUuid": parent,
                "isSidechain": "agentId" in more,
                "userType": "external",
                "cwd": cwd,
                "sessionId": session,
                "version": "2.1.12",
                "gitBranch": "main",
                "type": role,
                "message": said,
                "uuid": uuid,
                "timestamp": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                **{key: value for key, value in more.items() if key != "first"},
            }
        )
        parent = uuid
    return lines


def codex_lines(
    messages: Sequence[Mapping[str, Any]],
    *,
    session: str,
    start: datetime,
    cwd: str = "/work/app",
    meta: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The lines of a rollout of Codex, from messages of OpenAI's chat format, a second apart."""

    def line(kind: str, payload: Mapping[str, Any], number: int) -> dict[str, Any]:
        time = (start + timedelta(seconds=number)).isoformat(timespec="milliseconds")
        return {"timestamp": time.replace("+00:00", "Z"), "type": kind, "payload": dict(payload)}

    about = {
        "id": session,
        "cwd": cwd,
        "originator": "codex_cli_rs",
        "cli_version": "0.139.0",
        **(meta or {}),
    }
    context = f"<environment_context>\n  <cwd>{cwd}</cwd>\n</environment_context>"
    lines = [
        line("session_meta", about, 0),
        line("response_item", _codex_message("developer", "<permissions>"), 0),
        line("response_item", _codex_message("user", context), 0),
        line("turn_context", {"cwd": cwd, "model": "gpt-5-codex"}, 0),
    ]
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            output = {"type": "function_call_output", "call_id": message["tool_call_id"]}
            lines.append(line("response_item", {**output, "output": message["content"]}, number))
            continue
        if message.get("content"):
            said = _codex_message(message["role"], message["content"])
            lines.append(line("response_item", said, number))
        for call in message.get("tool_calls") or ():
            asked = {"type": "function_call", "call_id": call["id"], **call["function"]}
            lines.append(line("response_item", asked, number))
    total = {"input_tokens": 100, "cached_input_tokens": 90, "output_tokens": 10}
    usage = {"type": "token_count", "info": {"total_token_usage": total}}
    return [*lines, line("event_msg", usage, len(messages))]


def _codex_message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
