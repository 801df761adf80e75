"""The results of tool calls: paired with their calls, and filled in from TOOL spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaizen.sync.model import Message, ToolCall
from kaizen.sync.trajectory.tools import ToolSpans, span_result, with_span_error


def with_tool_results(messages: Sequence[Message], tools: ToolSpans) -> list[Message]:
    """Pair every tool call with its result: by id, else by order; TOOL spans fill in what is missing."""
    complete: list[Message] = []
    waiting: list[ToolCall] = []
    caller = ""

    def settle() -> None:
        for call in waiting:
            span = tools.take(call, caller, waiting)
            if span is not None and (text := span_result(span)):
                complete.append(
                    Message(
                        role="tool",
                        content=text,
                        tool_call_id=call.id,
                        name=call.name,
                        span_id=span.span_id,
                    )
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
            content = with_span_error(message.content, tools.take(answered, caller, waiting))
            name = message.name or answered.name
            message = replace(message, content=content, tool_call_id=answered.id, name=name)
        complete.append(message)
    settle()
    return complete


def _with_call_ids(message: Message, number: int) -> Message:
    """The message with an id for each of its calls: some frameworks pair calls and results by order alone."""
    if all(call.id for call in message.tool_calls):
        return message
    calls = (replace(c, id=c.id or f"call_{number}_{i}") for i, c in enumerate(message.tool_calls))
    return replace(message, tool_calls=tuple(calls))


def _answered(waiting: Sequence[ToolCall], result: Message) -> ToolCall | None:
    if result.tool_call_id:
        return next((call for call in waiting if call.id == result.tool_call_id), None)
    named = (call for call in waiting if result.name and call.name == result.name)
    return next(named, waiting[0] if waiting else None)
