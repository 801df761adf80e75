"""What a source of traces promises, as tests."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kaizen.sync.model import IndexedTrace, Span, span_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.sources.base import Source

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SourceContract:
    """Everything that a sync relies on; a source may keep more of a span than the contract looks at."""

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        """Put spans into the project that the source reads, and wait until they can be read back."""
        raise NotImplementedError("say how spans get into the project")

    def test_a_project_without_traces_is_empty(self, source: Source) -> None:
        assert source.probe() is None
        assert list(source.index()) == []
        assert list(source.fetch([])) == []

    def test_the_index_lists_every_trace_once_oldest_first(self, source: Source) -> None:
        traces = [new_trace(hour=hour) for hour in (2, 0, 1)]
        self.put(source, [span for spans in traces for span in spans])

        listed = list(source.index())

        assert [trace.trace_id for trace in listed] == [traces[n][0].trace_id for n in (1, 2, 0)]
        assert [trace.start_time for trace in listed] == [START + timedelta(hours=n) for n in range(3)]

    def test_a_window_of_time_lists_the_traces_that_started_in_it(self, source: Source) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, [span for spans in traces for span in spans])

        since, until = START + timedelta(minutes=30), START + timedelta(minutes=90)

        assert [trace.trace_id for trace in source.index(since=since, until=until)] == [traces[1][0].trace_id]

    def test_a_trace_is_fetched_whole_and_as_it_was_put(self, source: Source) -> None:
        spans = new_trace(spans=5)
        self.put(source, spans)

        (trace,) = source.fetch(source.index())

        assert [_essence(span) for span in trace.spans] == [_essence(span) for span in spans]
        assert trace.digest == span_digest(tuple(spans))

    def test_an_index_that_lists_spans_agrees_with_what_is_fetched(self, source: Source) -> None:
        self.put(source, [*new_trace(), *new_trace(hour=1)])

        listed = list(source.index())

        for indexed, trace in zip(listed, source.fetch(listed), strict=True):
            assert not indexed.spans or indexed.digest == trace.digest

    def test_traces_are_fetched_in_the_order_given_and_one_that_is_gone_is_empty(
        self, source: Source
    ) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, [span for spans in traces for span in spans])
        one, two, three = source.index()
        gone = IndexedTrace(trace_id=secrets.token_hex(16), start_time=START, spans=())

        found = list(source.fetch([three, gone, one, two]))

        assert [trace.trace_id for trace in found] == [trace.trace_id for trace in (three, gone, one, two)]
        assert [bool(trace.spans) for trace in found] == [True, False, True, True]

    def test_a_new_span_moves_the_newest_row_and_names_its_trace(self, source: Source) -> None:
        old, other = new_trace(), new_trace(hour=1)
        self.put(source, [*old, *other])
        before = source.probe()
        assert before is not None
        assert source.probe() == before
        assert not source.changed_since(before)

        self.put(source, [replace(old[-1], span_id=secrets.token_hex(8), name="late")])

        assert source.probe() != before
        changed = source.changed_since(before)
        assert changed is None or list(changed) == [old[0].trace_id]

    def test_a_span_has_an_address_and_requests_are_counted(self, source: Source) -> None:
        spans = new_trace()
        self.put(source, spans)
        before = source.requests
        list(source.fetch(source.index()))

        assert spans[0].span_id in source.span_url(spans[0].trace_id, spans[0].span_id)
        assert source.requests >= before
        assert source.name
        assert source.project


def new_trace(*, spans: int = 2, hour: int = 0) -> list[Span]:
    """Return a root and the model calls below it, each starting a second after the one before."""
    trace_id, root_id = secrets.token_hex(16), secrets.token_hex(8)
    start = START + timedelta(hours=hour)
    return [
        Span(
            span_id=secrets.token_hex(8) if number else root_id,
            trace_id=trace_id,
            parent_id=root_id if number else None,
            name=f"call {number}" if number else "agent",
            kind="LLM" if number else "AGENT",
            status="OK",
            status_message="",
            start_time=start + timedelta(seconds=number),
            end_time=start + timedelta(seconds=number + 1 if number else spans + 1),
            attributes={"llm.model_name": "gpt-4o", "input.value": f"Grüße {number} 東京"},
        )
        for number in range(spans)
    ]


def _essence(span: Span) -> tuple[object, ...]:
    attributes = {key: span.attributes.get(key) for key in ("llm.model_name", "input.value")}
    return span.span_id, span.parent_id, span.name, span.kind, span.status, span.start_time, attributes
