"""The model calls of a trace: nested spans that trace the same call count as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaizen.sync.model import Message, Span, Trace, Usage
from kaizen.sync.trajectory.attributes import response_ids, usage
from kaizen.sync.trajectory.dialects import model_spans, read_span


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One logical model call. `span` is its outermost layer, `layers` are all of them.

    `dropped` counts what the model put out that is no answer, where there is no other.
    """

    span: Span
    layers: tuple[Span, ...]
    given: list[Message]
    answer: Message | None
    usage: Usage
    is_delta: bool = False
    dropped: int = 0
    response_id: str = ""
    previous_response_id: str = ""


def model_calls(trace: Trace) -> list[ModelCall]:
    """Return the model calls of a trace, in order of their start."""
    spans = {span.span_id: span for span in model_spans(trace)}
    nests: dict[str, list[Span]] = {}
    for span in spans.values():
        top, seen = span, {span.span_id}
        # Broken traces have circles of parents.
        while top.parent_id in spans and top.parent_id not in seen:
            top = spans[top.parent_id]
            seen.add(top.span_id)
        nests.setdefault(top.span_id, []).append(span)
    calls = [_call(spans[top_id], nest) for top_id, nest in nests.items()]
    return sorted(calls, key=lambda call: (call.span.start_time, call.span.span_id))


def _call(top: Span, nest: Sequence[Span]) -> ModelCall:
    """Return the call that nested spans trace: from the layer with most in it, of several the innermost.

    An outer layer may have merged roles or lost ids; an inner one may know calls only as text.
    """
    inward = [top, *sorted((s for s in nest if s is not top), key=lambda s: (s.start_time, s.span_id))]
    contents = [read_span(span) for span in reversed(inward)]
    given = max((content.given for content in contents), key=_amount)
    answers = max((content.answer for content in contents), key=_amount)
    response_id, previous_response_id = next(filter(any, map(response_ids, inward)), ("", ""))
    return ModelCall(
        span=top,
        layers=tuple(inward),
        given=given,
        answer=answers[0] if answers else None,
        usage=_usage(inward),
        dropped=0 if answers else max(content.dropped for content in contents),
        is_delta=any(content.is_delta for content in contents),
        response_id=response_id,
        previous_response_id=previous_response_id,
    )


def _amount(messages: Sequence[Message]) -> tuple[int, bool]:
    return sum(len(m.tool_calls) + (m.role == "tool") for m in messages), bool(messages)


def _usage(layers: Sequence[Span]) -> Usage:
    """Return the tokens of the innermost layers, each of which was a request, or of an outer one."""
    parents = {span.parent_id for span in layers}
    innermost = sum((usage(span) for span in layers if span.span_id not in parents), Usage())
    counted = [innermost, *map(usage, layers)]
    return max(counted, key=lambda one: one.prompt_tokens + one.completion_tokens)
