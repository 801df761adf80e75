"""The results of tool calls: paired with their calls, and filled in from TOOL spans."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from kaizen.sync.messages import canonical_arguments, load_json
from kaizen.sync.model import Message, Span, ToolCall, Trace


def with_tool_results(messages: Sequence[Message], tools: ToolSpans) -> list[Message]:
    """Pair every tool call with its result: by id, else by order; TOOL spans fill in what is missing."""
    complete: list[Message] = []
    waiting: list[ToolCall] = []
    caller = ""

    def settle() -> None:
        for call in waiting:
            span = tools.take(call, caller, waiting)
            if span is not None and (text := _span_result(span)):
                complete.append(
                    Message(role="tool", content=text, tool_call_id=call.id, span_id=span.span_id)
                )
        waiting.clear()

    for number, message in enumerate(messages):
        if message.role != "tool":
            settle()
            message = _with_call_ids(message, number)
            waiting += message.tool_calls
            caller = message.span_id
            complete.append(message)
            continue
        answered = _answered(waiting, message)
        if answered is not None:
            waiting.remove(answered)
            content = _with_span_error(message.content, tools.take(answered, caller, waiting))
            message = replace(message, content=content, tool_call_id=answered.id)
        complete.append(message)
    settle()
    return complete


def _with_call_ids(message: Message, number: int) -> Message:
    """The message with an id for each of its calls: some frameworks pair calls and results by order alone."""
    calls = (replace(c, id=c.id or f"call_{number}_{i}") for i, c in enumerate(message.tool_calls))
    return replace(message, tool_calls=tuple(calls)) if message.tool_calls else message


def _answered(waiting: Sequence[ToolCall], result: Message) -> ToolCall | None:
    if result.tool_call_id:
        return next((call for call in waiting if call.id == result.tool_call_id), None)
    named = (call for call in waiting if result.name and call.name == result.name)
    return next(named, waiting[0] if waiting else None)


class ToolSpans:
    """The TOOL spans of a trace, each of which stands for one call."""

    def __init__(self, trace: Trace) -> None:
        self._unused = [span for span in trace.spans if span.kind == "TOOL"]
        self._parents = {span.span_id: span.parent_id for span in trace.spans}

    def take(self, call: ToolCall, caller: str, others: Iterable[ToolCall]) -> Span | None:
        """The span of a call that the LLM span `caller` asked for, beside `others`.

        The first of that tool that is no other call's, preferring the same arguments and then the same
        parent: sub-agents may call the same tool at once.
        """
        arguments, parent = canonical_arguments(call.arguments), self._parents.get(caller)
        taken = {canonical_arguments(other.arguments) for other in others if other.name == call.name}
        taken.discard(arguments)
        own: list[tuple[bool, bool, Span]] = []
        for span in self._unused:
            if (span.attributes.get("tool.name") or span.name) == call.name:
                given = _span_arguments(span)
                if given not in taken:
                    own.append((given != arguments, span.parent_id != parent, span))
        if not own:
            return None
        best = min(own, key=lambda one: one[:2])[2]
        self._unused.remove(best)
        return best


def _span_arguments(span: Span) -> str:
    value = span.attributes.get("input.value")
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        parsed = load_json(text)
    except ValueError:
        return text.strip()
    if isinstance(parsed, dict) and "kwargs" in parsed and "args" in parsed:
        parsed = parsed["kwargs"]
    return canonical_arguments(json.dumps(parsed))


def _span_result(span: Span) -> str:
    output = span.attributes.get("output.value")
    text = output if isinstance(output, str) else json.dumps(output) if output is not None else ""
    return _with_span_error(text, span)


def _with_span_error(text: str, span: Span | None) -> str:
    """Some frameworks show the model less than the span tells, such as 'An error occurred'."""
    error = error_text(span) if span is not None and span.status == "ERROR" else ""
    if not error or error in text or unwrapped(error) in text:
        return text
    return f"{text}\n[error: {error}]" if text else f"[error: {error}]"


def error_text(span: Span) -> str:
    if span.status_message:
        return span.status_message
    for event in span.events:
        if event.name == "exception":
            attributes: dict[str, Any] = dict(event.attributes)
            kind, text = attributes.get("exception.type", ""), attributes.get("exception.message", "")
            return f"{kind}: {text}".strip(": ")
    return ""


def unwrapped(error: str) -> str:
    """The error that openai-agents puts into a dict, as in `Error running tool: {'error': '...'}`."""
    _, brace, rest = error.partition(": {")
    try:
        value = ast.literal_eval("{" + rest) if brace else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) and inner else error
