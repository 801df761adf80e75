"""The TOOL spans of a trace: which one stands for which call, and what it tells of the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.json_text import as_text, canonical_arguments, load_json, load_literal

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.sync.model import Span, ToolCall, Trace

_NAMES = ("tool.name", "gen_ai.tool.name", "ai.toolCall.name")
_IDS = ("tool.id", "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id")
_ARGUMENTS = ("input.value", "gen_ai.tool.call.arguments", "gen_ai.tool.args", "ai.toolCall.args")
_OUTPUTS = ("output.value", "gen_ai.tool.call.result", "gen_ai.output", "ai.toolCall.result")


class ToolSpans:
    """The TOOL spans of a trace, each of which stands for one call.

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
        """The span of a call that the LLM span `caller` asked for, beside `others`.

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
    """What the tool gave, and how it failed."""
    return with_span_error(as_text(_first(span, _OUTPUTS)), span)


def with_span_error(text: str, span: Span | None) -> str:
    """Some frameworks show the model less than the span tells, such as 'An error occurred'."""
    error = error_text(span) if span is not None and span.status == "ERROR" else ""
    if not error or error in text or unwrapped(error) in text:
        return text
    return f"{text}\n[error: {error}]" if text else f"[error: {error}]"


def error_text(span: Span) -> str:
    """The error of a span: its status message, else its first exception."""
    if span.status_message:
        return span.status_message
    for event in span.events:
        if event.name == "exception":
            kind = as_text(event.attributes.get("exception.type"))
            return f"{kind}: {as_text(event.attributes.get('exception.message'))}".strip(": ")
    return ""


def unwrapped(error: str) -> str:
    """The error that openai-agents puts into a dict, as in `Error running tool: {'error': '...'}`."""
    _, brace, rest = error.partition(": {")
    try:
        value = load_literal("{" + rest) if brace else None
    except ValueError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) and inner else error
