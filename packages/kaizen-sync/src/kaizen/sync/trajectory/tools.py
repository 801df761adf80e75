"""Tool calls and their results: paired with each other, and filled in from the TOOL spans of a trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.sync.model import Message, ToolCall
from kaizen.sync.trajectory.errors import error_text, unwrapped
from kaizen.sync.trajectory.json_text import as_text, canonical_arguments, load_json

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.sync.model import Span, Trace

_NAMES = ("tool.name", "gen_ai.tool.name", "ai.toolCall.name")
_IDS = ("tool.id", "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id")
_ARGUMENTS = ("input.value", "gen_ai.tool.call.arguments", "gen_ai.tool.args", "ai.toolCall.args")
_OUTPUTS = ("output.value", "gen_ai.tool.call.result", "gen_ai.output", "ai.toolCall.result")


def with_tool_results(messages: Sequence[Message], tools: ToolSpans) -> list[Message]:
    """Pair every tool call with its result: by id, else by order; TOOL spans fill in what is missing.

    Arguments that a message lacks come from the TOOL span too.
    """
    complete: list[Message] = []
    waiting: list[_Waiting] = []

    def add_missing_results() -> None:
        for call in waiting:
            span = call.take(tools, complete)
            if span is not None and (text := span_result(span)):
                complete.append(
                    Message(
                        role="tool",
                        content=text,
                        tool_call_id=call.call.id,
                        name=call.call.name,
                        span_id=span.span_id,
                    )
                )
        waiting.clear()

    for number, (message, before) in enumerate(zip(messages, tools.next_calls(messages), strict=True)):
        if message.role != "tool":
            add_missing_results()
            message = _with_call_ids(message, number)
            waiting += (
                _Waiting(call, message.span_id, before, len(complete), n)
                for n, call in enumerate(message.tool_calls)
            )
            complete.append(message)
            continue
        answered = _answered(waiting, message)
        if answered is not None:
            waiting.remove(answered)
            content = with_span_error(message.content, answered.take(tools, complete))
            name = message.name or answered.call.name
            message = replace(message, content=content, tool_call_id=answered.call.id, name=name)
        complete.append(message)
    add_missing_results()
    return complete


class _Waiting(NamedTuple):
    """A call without its result yet: who made it, by when it was done, and where it stands."""

    call: ToolCall
    caller: str
    before: datetime | None
    message: int
    number: int

    def take(self, tools: ToolSpans, messages: list[Message]) -> Span | None:
        """Take the TOOL span of the call, and from it the arguments that its message lacks."""
        span = tools.take(self.call, self.caller, self.before)
        if span is not None and not has_arguments(self.call) and (arguments := _span_arguments(span)):
            message = messages[self.message]
            calls = list(message.tool_calls)
            calls[self.number] = replace(calls[self.number], arguments=arguments)
            messages[self.message] = replace(message, tool_calls=tuple(calls))
        return span


def has_arguments(call: ToolCall) -> bool:
    """Return whether a call has arguments; without them a framework may have lost them."""
    return call.arguments.strip() not in ("", "{}", "null")


def _with_call_ids(message: Message, number: int) -> Message:
    """Give each call of a message an id: some frameworks pair calls and results by order alone."""
    if all(call.id for call in message.tool_calls):
        return message
    calls = (replace(c, id=c.id or f"call_{number}_{i}") for i, c in enumerate(message.tool_calls))
    return replace(message, tool_calls=tuple(calls))


def _answered(waiting: Sequence[_Waiting], result: Message) -> _Waiting | None:
    if result.tool_call_id:
        return next((one for one in waiting if one.call.id == result.tool_call_id), None)
    named = (one for one in waiting if result.name and one.call.name == result.name)
    return next(named, waiting[0] if waiting else None)


class ToolSpans:
    """The TOOL spans of a trace, each of which is the execution of one call.

    `model_spans` are the ids of those that are model calls whatever their kind says, `calls` are all calls
    that the conversations of the trace hold.
    """

    def __init__(self, trace: Trace, model_spans: Iterable[str] = (), calls: Iterable[ToolCall] = ()) -> None:
        models, calls = set(model_spans), list(calls)
        known = {call.id for call in calls if call.id}
        self._parents = {span.span_id: span.parent_id for span in trace.spans}
        self._starts = {span.span_id: span.start_time for span in trace.spans}
        self._by_id: dict[tuple[str, str], Span] = {}
        self._spellings: dict[str, str] = {}
        self._called: defaultdict[str, set[str]] = defaultdict(set)
        for call in calls:
            self._called[call.name].add(self._canonical(call.arguments))
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

    def next_calls(self, messages: Sequence[Message]) -> list[datetime | None]:
        """Return for each message when the next model call of the conversation began; None if none did."""
        found: list[datetime | None] = []
        start: datetime | None = None
        following = ""
        next_start: datetime | None = None
        for message in reversed(messages):
            if message.span_id != following:
                start, following, next_start = next_start, message.span_id, self._starts.get(message.span_id)
            found.append(start)
        return found[::-1]

    def take(self, call: ToolCall, caller: str, before: datetime | None) -> Span | None:
        """Return the span of a call that the LLM span `caller` made, which started before that time.

        It is the one with the id of the call. Otherwise it is the first of that tool with the same arguments,
        preferably below the same parent, since sub-agents may call the same tool at once; and if there is
        none, the first whose arguments are not those of another call.
        """
        if found := self._by_id.pop((call.name, call.id), None):
            return found
        unused = self._unused.get(call.name)
        if not unused:
            return None
        arguments, parent = self._canonical(call.arguments), self._parents.get(caller)
        called = self._called[call.name]
        groups = (
            [unused[arguments]]
            if arguments in unused
            else [spans for given, spans in unused.items() if given not in called]
        )
        in_time = (
            span for group in groups for span in group.values() if before is None or span.start_time <= before
        )
        best = min(in_time, key=lambda s: (s.parent_id != parent, s.start_time, s.span_id), default=None)
        if best is not None:
            given = _span_arguments(best)
            del unused[given][best.span_id]
            if not unused[given]:
                del unused[given]
        return best

    def _canonical(self, arguments: str) -> str:
        if arguments not in self._spellings:
            self._spellings[arguments] = canonical_arguments(arguments)
        return self._spellings[arguments]


def _first(span: Span, names: Sequence[str]) -> Any:
    return next((span.attributes[name] for name in names if span.attributes.get(name) is not None), None)


def _span_arguments(span: Span) -> str:
    text = as_text(_first(span, _ARGUMENTS))
    try:
        parsed = load_json(text)
    except ValueError:
        return text.strip()
    if isinstance(parsed, Mapping) and "kwargs" in parsed and ("args" in parsed or len(parsed) == 1):
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
