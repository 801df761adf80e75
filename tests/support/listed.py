"""A source of traces that are simply there, with what is said of them: for syncs without a server."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Anchor, IndexedTrace, Span, Trace
from tests.support.spans import START, llm_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kaizen.sync.model import Annotation, Target

MESSAGE = dict[str, str]


class ListedSource:
    """A source of traces that are simply there."""

    name = "listed"
    project = "stories"
    server_version = ""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self.traces = {trace.trace_id: trace for trace in traces}
        self.said: defaultdict[tuple[Target, str], list[Annotation]] = defaultdict(list)
        self.asked: list[tuple[Target, list[str]]] = []

    @property
    def requests(self) -> int:
        return len(self.asked)

    def probe(self) -> Anchor | None:
        newest = "".join(sorted(trace.digest for trace in self.traces.values()))
        return Anchor(token=newest) if self.traces else None

    def annotations(self, target: Target, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        self.asked.append((target, list(ids)))
        return {one: self.said[target, one] for one in ids}

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        for trace in sorted(self.traces.values(), key=lambda one: one.start_time):
            if (since and trace.start_time < since) or (until and trace.start_time >= until):
                continue
            yield IndexedTrace.of(trace)

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        return None

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        for indexed in traces:
            yield self.traces.get(indexed.trace_id, Trace(trace_id=indexed.trace_id, spans=()))

    def span_url(self, trace_id: str, span_id: str) -> str:
        return f"listed:{trace_id}/{span_id}"


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
