"""Measure how a run went, from its trace alone: what an experiment compares without anybody's judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.state.exposures import ExposedTrace, RunMeasures, annotated_success
from kaizen.sync.trajectory.stories import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.model import Message, Trace, Trajectory

_COST = "llm.cost.total"
_MOST_REFUSED = 50


def exposed_trace(trace: Trace, trajectory: Trajectory) -> ExposedTrace | None:
    """Return what the experiment needs of a trace and its redacted trajectory; None if no tip was chosen."""
    if not trajectory.exposures:
        return None
    return ExposedTrace(
        trace_id=trace.trace_id,
        began_at=trace.start_time,
        exposures=trajectory.exposures,
        measures=measure(trace, trajectory),
        success=annotated_success(trajectory.outcome),
    )


def measure(trace: Trace, trajectory: Trajectory) -> RunMeasures:
    main, *sides = call_logs(trajectory)
    start = _own_start(trajectory.messages, describe(trajectory, trace.start_time).repeated)
    called = [
        (log, call)
        for log, first in [(main, start), *((side, 0) for side in sides)]
        for call in log.calls
        if call.position >= first and call.result is not None
    ]
    failed = [(call.tool, log.error(call)) for log, call in called if call.failure]
    usage = trajectory.usage
    return RunMeasures(
        refused=tuple(sorted(set(failed)))[:_MOST_REFUSED],
        refused_calls=len(failed),
        # The answer that the history ends with was another trace's.
        model_calls=_answers(trajectory.messages[start:])
        - (start > 0)
        + sum(_answers(s.messages) for s in sides),
        tool_calls=len(called),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        cost_usd=_cost(trace),
        duration_s=(max(span.end_time for span in trace.spans) - trace.start_time).total_seconds(),
        model=trajectory.models[0] if trajectory.models else "",
    )


def _own_start(messages: Sequence[Message], repeated: int) -> int:
    """Return the place of the last answer that another trace gave; this one has the results of its calls."""
    answers = [number for number, message in enumerate(messages) if message.role == "assistant"]
    return answers[repeated - 1] if 0 < repeated <= len(answers) else 0


def _answers(messages: Sequence[Message]) -> int:
    return sum(message.role == "assistant" for message in messages)


def _cost(trace: Trace) -> float | None:
    """Return what the spans say that the trace cost: of nested ones, the outer says it."""
    costs = {
        span.span_id: cost
        for span in trace.spans
        if isinstance(cost := span.attributes.get(_COST), int | float)
    }
    outer = [
        costs[span.span_id] for span in trace.spans if span.span_id in costs and span.parent_id not in costs
    ]
    return sum(outer) if outer else None
