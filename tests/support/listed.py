"""Traces of one model call each, as a source lists them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kaizen.sync.model import Span, Trace
from tests.support.spans import START, llm_span

MESSAGE = dict[str, str]


def one_call(trace_id: str, at: int, told: Sequence[MESSAGE], answer: str, **attributes: Any) -> Trace:
    """A trace of one model call, as a plain loop leaves it; it started `at` minutes after the first."""
    span = llm_span(told, answer)
    start = START + timedelta(minutes=at)
    return Trace(
        trace_id=trace_id,
        spans=(
            Span(
                span_id=f"span-{trace_id}",
                trace_id=trace_id,
                parent_id=None,
                name=span["name"],
                kind="LLM",
                status="OK",
                status_message="",
                start_time=start,
                end_time=start + timedelta(seconds=1),
                attributes={**span["attributes"], **attributes},
            ),
        ),
    )
