"""Measure how a run went, from its trace alone: what an experiment compares without anybody's judgement."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.state.exposures import CallCounts, ExposedTrace, RunMeasures, annotated_success

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen.sync.generate.offline.calls import Call
    from kaizen.sync.generate.offline.templates import CallLog
    from kaizen.sync.model import Message, Trace, Trajectory

_COST = "llm.cost.total"
_MOST_REFUSED = 50


def exposed_trace(trace: Trace, trajectory: Trajectory, *, repeated: int) -> ExposedTrace | None:
    """Return what the experiment needs of a trace and its redacted trajectory; None if no tip was chosen.

    `repeated` is how many answers the trace repeats of others.
    """
    if not trajectory.exposures:
        return None
    return ExposedTrace(
        trace_id=trace.trace_id,
        began_at=trace.start_time,
        exposures=trajectory.exposures,
        measures=measure(trace, trajectory, repeated),
        success=annotated_success(trajectory.outcome),
    )


def measure(trace: Trace, trajectory: Trajectory, repeated: int) -> RunMeasures:
    main, *sides = call_logs(trajectory)
    start = _own_start(trajectory.messages, repeated)
    own = _counts(main, trajectory.messages[start:], lambda call: call.position >= start)
    if start:
        # The answer that the history ends with was another trace's.
        own = own._replace(model_calls=own.model_calls - 1)
    for log in sides:
        own = CallCounts(*map(add, own, _counts(log, log.messages, lambda _: True)))
    refused = {(call.tool, log.error(call)) for log in (main, *sides) for call in log.calls if call.failure}
    usage = trajectory.usage
    return RunMeasures(
        refused=tuple(sorted(refused))[:_MOST_REFUSED],
        own=own,
        repeated=_counts(
            main, trajectory.messages[: start + 1 if start else 0], lambda call: call.position < start
        ),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        cost_usd=_cost(trace),
        duration_s=(max(span.end_time for span in trace.spans) - trace.start_time).total_seconds(),
        model=trajectory.models[0] if trajectory.models else "",
    )


def _counts(log: CallLog, messages: Sequence[Message], is_counted: Callable[[Call], bool]) -> CallCounts:
    """Count the answers among these messages, and the calls that came back."""
    called = [call for call in log.calls if call.result is not None and is_counted(call)]
    return CallCounts(
        refused_calls=sum(call.failure is not None for call in called),
        model_calls=sum(message.role == "assistant" for message in messages),
        tool_calls=len(called),
    )


def _own_start(messages: Sequence[Message], repeated: int) -> int:
    """Return the place of the last answer that another trace gave; this one has the results of its calls."""
    answers = [number for number, message in enumerate(messages) if message.role == "assistant"]
    return answers[repeated - 1] if 0 < repeated <= len(answers) else 0


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
