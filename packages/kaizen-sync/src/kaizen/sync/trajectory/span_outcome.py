"""The outcome of a run by the status of its spans alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.model import Outcome
from kaizen.sync.trajectory.errors import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.model import Trace
    from kaizen.sync.trajectory.calls import ModelCall


def span_outcome(trace: Trace, calls: Sequence[ModelCall]) -> Outcome:
    """Return failure if a root, an agent or the last model call ended in an error; otherwise unknown.

    openai-agents leaves its root OK when the run below it failed, so agents count wherever they are. An
    error after which a model call was answered did not end the run.
    """
    ids = {span.span_id for span in trace.spans}
    answered = max((call.span.start_time for call in calls if call.answer is not None), default=None)
    fatal = [
        span
        for span in trace.spans
        if span.status == "ERROR"
        and (span.kind == "AGENT" or span.parent_id not in ids)
        and (answered is None or answered < span.end_time)
    ]
    if fatal:
        span = max(fatal, key=lambda span: span.end_time)
        judged_by = f"status of {span.kind} span '{span.name}'"
        return Outcome(name="failure", judged_by=judged_by, detail=error_text(span))
    last = calls[-1].span
    if last.status == "ERROR" and calls[-1].answer is None:
        return Outcome(name="failure", judged_by="status of the last LLM span", detail=error_text(last))
    return Outcome()
