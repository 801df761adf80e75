"""Attempts in the world as traces in memory, and a source of them for the sync."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from kaizen.sync.sources import Anchor, Annotation, IndexedTrace, Span, Target, Trace

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = "world"
MODEL_NAME = "rules"


class Chat(Protocol):
    """A run that can be a trace: its messages and tools as OpenAI has them, and whether it succeeded."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def is_done(self) -> bool: ...


@dataclass
class MemorySource:
    """A source of traces that are simply there, with the outcome of each as an annotation."""

    traces: Mapping[str, Trace]
    said: Mapping[str, Annotation]
    name: str = "memory"
    project: str = PROJECT
    server_version: str = ""
    requests: int = 0

    def probe(self) -> Anchor | None:
        newest = list(self.traces)[-1:]
        return Anchor(row=len(self.traces), token=newest[0]) if newest else None

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        for trace in self.traces.values():
            if (since and trace.start_time < since) or (until and trace.start_time >= until):
                continue
            yield IndexedTrace.of(trace)

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        return dict.fromkeys(list(self.traces)[anchor.row or 0 :])

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        for indexed in traces:
            yield self.traces.get(indexed.trace_id, Trace(trace_id=indexed.trace_id, spans=()))

    def annotations(self, target: Target, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        known = self.said if target == "trace" else {}
        return {name: [known[name]] if name in known else [] for name in ids}

    def span_url(self, trace_id: str, span_id: str) -> str:
        return f"memory:{trace_id}/{span_id}"


def outcome_of(made: Chat) -> Annotation:
    label = "success" if made.is_done else "failure"
    return Annotation(target="trace", name="success", label=label, annotator_kind="CODE")


def trace_id_of(number: int) -> str:
    """Return the trace id of the attempt with that number."""
    return f"{number + 1:032x}"


def trace_of(
    made: Chat, number: int, *, stamps: Mapping[str, str] | None = None, start: datetime | None = None
) -> Trace:
    """Return the trace of an attempt in OpenInference's keys: an agent's span, its model calls below.

    `stamps` are attributes that each of its spans has, such as those of recall.
    """
    trace_id = trace_id_of(number)
    start = start or START + timedelta(minutes=number)
    turns = [n for n, message in enumerate(made.messages) if message["role"] == "assistant"]
    if made.messages[-1]["role"] == "tool":
        # The last results are known from the next call only; the model did not get to an answer.
        turns.append(len(made.messages))
    spans = [
        _span(
            trace_id,
            0,
            start,
            end=start + timedelta(seconds=len(turns) + 1),
            kind="AGENT",
            attributes=stamps or {},
        )
    ]
    for order, turn in enumerate(turns, 1):
        attributes = {**_llm_attributes(made, turn), **(stamps or {})}
        at = start + timedelta(seconds=order)
        spans.append(
            _span(trace_id, order, at, end=at + timedelta(seconds=1), kind="LLM", attributes=attributes)
        )
    return Trace(trace_id=trace_id, spans=tuple(spans))


def _span(
    trace_id: str, order: int, start: datetime, *, end: datetime, kind: str, attributes: Mapping[str, Any]
) -> Span:
    return Span(
        span_id=f"{trace_id[-12:]}{order:04x}",
        trace_id=trace_id,
        parent_id=f"{trace_id[-12:]}0000" if order else None,
        name=kind.lower(),
        kind=kind,
        status="OK",
        status_message="",
        start_time=start,
        end_time=end,
        attributes=attributes,
    )


def _llm_attributes(made: Chat, turn: int) -> dict[str, Any]:
    values: dict[str, Any] = {"llm.model_name": MODEL_NAME}
    for number, tool in enumerate(made.tools):
        values[f"llm.tools.{number}.tool.json_schema"] = json.dumps(tool)
    for number, message in enumerate(made.messages[:turn]):
        values |= _flat(f"llm.input_messages.{number}.message", message)
    if turn < len(made.messages):
        values |= _flat("llm.output_messages.0.message", made.messages[turn])
    return values


def _flat(prefix: str, message: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        f"{prefix}.{key}": message[key] for key in ("role", "content", "tool_call_id") if message.get(key)
    }
    for number, made in enumerate(message.get("tool_calls") or ()):
        base = f"{prefix}.tool_calls.{number}.tool_call"
        values[f"{base}.id"] = made["id"]
        values[f"{base}.function.name"] = made["function"]["name"]
        values[f"{base}.function.arguments"] = made["function"]["arguments"]
    return values
