"""Tool calls and their results: paired with each other, and filled in from the TOOL spans of a trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Message, ToolCall
from kaizen.sync.trajectory.json_text import as_text, canonical_arguments, load_json, load_literal

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.sync.model import Span, Trace

_NAMES = ("tool.name", "gen_ai.tool.name", "ai.toolCall.name")
_IDS = ("tool.id", "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id")
_ARGUMENTS = ("input.value", "gen_ai.tool.call.arguments", "gen_ai.tool.args", "ai.toolCall.args")
_OUTPUTS = ("output.value", "gen_ai.tool.call.result", "gen_ai.output", "ai.toolCall.result")


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
    """Give each call of a message an id: some frameworks pair calls and results by order alone."""
    if all(call.id for call in message.tool_calls):
        return message
    calls = (replace(c, id=c.id or f"call_{number}_{i}") for i, c in enumerate(message.tool_calls))
    return replace(message, tool_calls=tuple(calls))


def _answered(waiting: Sequence[ToolCall], result: Message) -> ToolCall | None:
    if result.tool_call_id:
        return next((call for call in waiting if call.id == result.tool_call_id), None)
    named = (call for call in waiting if result.name and call.name == result.name)
    return next(named, waiting[0] if waiting else None)


class ToolSpans:
    """The TOOL spans of a trace, each of which is the execution of one call.

    `model_spans` are the ids of those that are model calls whatever their kind says, `call_ids` those of all
    calls that the conversations of the trace hold.
    """

    def __init__(self, trace: Trace, model_spans: Iterable[str] = (), call_ids: Iterable[str] = ()) -> None:
        models, known = set(model_spans), set(filter(None, call_ids))
        self._parents = {span.span_id: span.parent_id for span in trace.spans}
        self._by_id: dict[tuple[str, str], Span] = {}
        self._spellings: dict[str, str] = {}
        # Dicts are sets in order here, of spans that no call has taken yet.
        self._unused: defaultdict[str, dict[str, dict[str, Span]]] = defaultdict(dict)
        for span in trace.spans:
            if span.span_id in models or not (span.kind == "TOOL" or "ai.toolCall.name" in span.attributes):
                continue
            name, call_id = as_text(_first(span, _NAMES)) or span.name, as_text(_first(span, _IDS))
            if call_id in known:
                self._by_id.setdefault((name, call_id), span)
            else:
                alike = self._unused[name].setdefault(_span_arguments(span), {})
                alike[span.span_id] = span

    def take(self, call: ToolCall, caller: str, others: Iterable[ToolCall]) -> Span | None:
        """Return the span of a call that the LLM span `caller` made together with `others`.

        The one with the id of the call. Else the first of that tool that is no other call's, preferring the
        same arguments and then the same parent: sub-agents may call the same tool at once.
        """
        if found := self._by_id.pop((call.name, call.id), None):
            return found
        unused = self._unused.get(call.name)
        if not unused:
            return None
        arguments = self._canonical(call.arguments)
        if arguments not in unused:
            taken = {self._canonical(other.arguments) for other in others if other.name == call.name}
            free = [spans for given, spans in unused.items() if given not in taken]
            first = min((next(iter(spans.values())) for spans in free), key=_start, default=None)
            arguments = _span_arguments(first) if first else ""
        parent = self._parents.get(caller)
        alike = unused.get(arguments, {})
        best = next((span for span in alike.values() if span.parent_id == parent), None)
        best = best or next(iter(alike.values()), None)
        if best is not None:
            del alike[best.span_id]
            if not alike:
                del unused[arguments]
        return best

    def _canonical(self, arguments: str) -> str:
        if arguments not in self._spellings:
            self._spellings[arguments] = canonical_arguments(arguments)
        return self._spellings[arguments]


def _start(span: Span) -> tuple[datetime, str]:
    return span.start_time, span.span_id


def _first(span: Span, names: Sequence[str]) -> Any:
    return next((span.attributes[name] for name in names if span.attributes.get(name) is not None), None)


def _span_arguments(span: Span) -> str:
    text = as_text(_first(span, _ARGUMENTS))
    try:
        parsed = load_json(text)
    except ValueError:
        return text.strip()
    if isinstance(parsed, Mapping) and "kwargs" in parsed and "args" in parsed:
        return canonical_arguments(as_text(parsed["kwargs"]))
    return canonical_arguments(text)


def span_result(span: Span) -> str:
    """Return the result of the tool, and its error if it failed."""
    return with_span_error(as_text(_first(span, _OUTPUTS)), span)


def with_span_error(text: str, span: Span | None) -> str:
    """Add the error of the span to a result: frameworks may show the model just 'An error occurred'."""
    error = error_text(span) if span is not None and span.status == "ERROR" else ""
    if not error or error in text or unwrapped(error) in text:
        return text
    return f"{text}\n[error: {error}]" if text else f"[error: {error}]"


def error_text(span: Span) -> str:
    """Return the error of a span: its status message, else its first exception."""
    if span.status_message:
        return span.status_message
    for event in span.events:
        if event.name == "exception":
            kind = as_text(event.attributes.get("exception.type"))
            return f"{kind}: {as_text(event.attributes.get('exception.message'))}".strip(": ")
    return ""


def unwrapped(error: str) -> str:
    """Return the error that openai-agents puts into a dict, as in `Error running tool: {'error': '...'}`."""
    _, brace, rest = error.partition(": {")
    try:
        value = load_literal("{" + rest) if brace else None
    except ValueError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) and inner else error
