"""Traces as kaizen-sync sees them: built by hand from a few messages, or loaded from recorded dumps."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Span, SpanEvent, Trace
from kaizen.sync.sources.phoenix.records import span_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kaizen.sync.model import Message

TRACE_ID = "0123456789abcdef0123456789abcdef"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def span(
    span_id: str,
    kind: str,
    *,
    at: float = 0.0,
    ends: float | None = None,
    parent: str | None = None,
    name: str = "",
    status: str = "OK",
    error: str = "",
    exception: tuple[str, str] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Span:
    """A span that starts ``at`` seconds and ends one second later; ``exception`` is its type and message."""
    event = {"exception.type": exception[0], "exception.message": exception[1]} if exception else None
    return Span(
        span_id=span_id,
        trace_id=TRACE_ID,
        parent_id=parent,
        name=name or f"{kind} {span_id}",
        kind=kind,
        status="ERROR" if error or exception else status,
        status_message=error,
        start_time=START + timedelta(seconds=at),
        end_time=START + timedelta(seconds=at + 1 if ends is None else ends),
        attributes=dict(attributes or {}),
        events=(SpanEvent(name="exception", attributes=event),) if event else (),
    )


def llm(
    span_id: str,
    given: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any] | str | None,
    *,
    tokens: tuple[int, int] = (0, 0),
    attributes: Mapping[str, Any] | None = None,
    **more: Any,
) -> Span:
    """A model call in OpenInference's flat keys; ``answer`` None is a call that failed."""
    answer = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
    values: dict[str, Any] = {"llm.model_name": "gpt-4o"}
    for number, message in enumerate(given):
        values |= flat(f"llm.input_messages.{number}.message", message)
    if answer is not None:
        values |= flat("llm.output_messages.0.message", answer)
    if any(tokens):
        values |= {"llm.token_count.prompt": tokens[0], "llm.token_count.completion": tokens[1]}
    return span(span_id, "LLM", attributes={**values, **(attributes or {})}, **more)


def tool(
    span_id: str,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    result: str | None = None,
    **more: Any,
) -> Span:
    values: dict[str, Any] = {"tool.name": name}
    if arguments is not None:
        values["input.value"] = json.dumps(arguments)
    if result is not None:
        values["output.value"] = result
    return span(span_id, "TOOL", attributes=values, **more)


def trace(*spans: Span) -> Trace:
    return Trace(trace_id=TRACE_ID, spans=tuple(sorted(spans, key=lambda s: (s.start_time, s.span_id))))


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def says(content: str = "", *calls: tuple[str, str, str]) -> dict[str, Any]:
    """An assistant message; each call is its id, the tool and the arguments as JSON text."""
    message: dict[str, Any] = {"role": "assistant"}
    if content:
        message["content"] = content
    if calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in calls
        ]
    return message


def result(call_id: str, content: str, *, name: str = "") -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {"role": "tool", "tool_call_id": call_id, "content": content, **named}


def flat(prefix: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of OpenAI's chat format as OpenInference's flat attributes; empty values vanish."""
    keys = ("role", "content", "tool_call_id", "name")
    values = {f"{prefix}.{key}": message[key] for key in keys if message.get(key)}
    for number, call in enumerate(message.get("tool_calls") or ()):
        base = f"{prefix}.tool_calls.{number}.tool_call"
        given = {
            f"{base}.id": call.get("id"),
            f"{base}.function.name": call["function"]["name"],
            f"{base}.function.arguments": call["function"]["arguments"],
        }
        values |= {key: value for key, value in given.items() if value}
    return values


def told(messages: Sequence[Message]) -> list[str]:
    """Messages in short, as tests compare them: ``role: content -> call(arguments)``."""
    lines = []
    for message in messages:
        calls = "".join(f" -> {call.name}({call.arguments})" for call in message.tool_calls)
        lines.append(f"{message.role}: {message.content}{calls}".strip())
    return lines


def load_traces(path: Path) -> list[Trace]:
    """The traces of a dump: a list of spans, an object that holds one, or a single span; maybe gzipped."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    value = json.loads(raw)
    if isinstance(value, dict):
        value = [value] if "context" in value else value.get("spans") or value.get("data") or []
    spans: defaultdict[str, dict[str, Span]] = defaultdict(dict)
    for one in value:
        if "context" in one:
            parsed = span_of(one)
            spans[parsed.trace_id].setdefault(parsed.span_id, parsed)
    return [
        Trace(trace_id=trace_id, spans=tuple(sorted(by_id.values(), key=lambda s: (s.start_time, s.span_id))))
        for trace_id, by_id in spans.items()
    ]


def order_faults(messages: Sequence[Message]) -> list[str]:
    """What keeps messages from being a conversation that OpenAI's chat API would take."""
    faults: list[str] = []
    open_ids: set[str] = set()
    for number, message in enumerate(messages):
        if message.role not in ("system", "user", "assistant", "tool"):
            faults.append(f"message {number} has the role {message.role!r}")
        if message.role == "tool":
            if message.tool_call_id not in open_ids:
                faults.append(f"message {number} answers no call: {message.content[:60]!r}")
            open_ids.discard(message.tool_call_id)
        else:
            open_ids = {call.id for call in message.tool_calls}
            if "" in open_ids:
                faults.append(f"message {number} has a call without an id")
    return faults
