"""What a source of traces promises, as tests."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.errors import SourceError
from kaizen.sync.model import IndexedTrace, Span, span_digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kaizen.sync.sources.base import Source

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SourceContract:
    """Everything that a sync relies on; a source may keep more of a span than the contract looks at.

    `many` is how many traces take more than one page of the source.
    """

    keeps_spans = True
    many = 25

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        """Put spans into the project that the source reads, and wait until they can be read back."""
        raise NotImplementedError("say how spans get into the project")

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        """Delete whole traces, and wait until they are gone."""
        pytest.skip("nothing is deleted in this source")

    @pytest.fixture
    def refused(self) -> Source:
        """Return a source whose key is wrong, or whose place is not there."""
        pytest.skip("this source is never refused")

    def test_a_project_without_traces_is_empty(self, source: Source) -> None:
        assert source.probe() is None
        assert list(source.index()) == []
        assert list(source.fetch([])) == []

    def test_the_index_lists_every_trace_once_oldest_first(self, source: Source) -> None:
        traces = [new_trace(hour=hour) for hour in (2, 0, 1)]
        self.put(source, _spans(traces))

        listed = list(source.index())

        assert _ids(listed) == [traces[n][0].trace_id for n in (1, 2, 0)]
        assert [trace.start_time for trace in listed] == [START + timedelta(hours=n) for n in range(3)]

    def test_a_window_of_time_lists_the_traces_that_started_in_it(self, source: Source) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, _spans(traces))

        since, until = START + timedelta(minutes=30), START + timedelta(minutes=90)

        assert _ids(source.index(since=since, until=until)) == [traces[1][0].trace_id]

    def test_what_fills_several_pages_is_listed_and_fetched_once_in_order(self, source: Source) -> None:
        # Two at a time start together: a page must not end between them and lose one.
        traces = [new_trace(hour=number // 2) for number in range(self.many)]
        self.put(source, _spans(traces))

        listed = list(source.index())

        assert Counter(_ids(listed)) == Counter(spans[0].trace_id for spans in traces)
        assert [trace.start_time for trace in listed] == sorted(trace.start_time for trace in listed)
        assert _ids(source.fetch(listed)) == _ids(listed)

    def test_a_trace_is_fetched_whole_and_as_it_was_put(self, source: Source) -> None:
        spans = new_trace(spans=5)
        self.put(source, spans)

        (trace,) = source.fetch(source.index())

        assert trace.trace_id == spans[0].trace_id
        assert trace.start_time == spans[0].start_time
        assert list(trace.spans) == sorted(trace.spans, key=lambda span: (span.start_time, span.span_id))
        if self.keeps_spans:
            assert [_essence(span) for span in trace.spans] == [_essence(span) for span in spans]
            assert trace.digest == span_digest(tuple(spans))

    def test_an_index_that_lists_spans_agrees_with_what_is_fetched(self, source: Source) -> None:
        self.put(source, [*new_trace(), *new_trace(hour=1)])

        listed = list(source.index())

        for indexed, trace in zip(listed, source.fetch(listed), strict=True):
            assert not indexed.spans or indexed.digest == trace.digest
            assert indexed.start_time == trace.start_time

    def test_traces_are_fetched_in_the_order_given_and_one_that_is_gone_is_empty(
        self, source: Source
    ) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, _spans(traces))
        one, two, three = source.index()
        gone = IndexedTrace(trace_id=secrets.token_hex(16), start_time=START, spans=())

        found = list(source.fetch([three, gone, one, two]))

        assert [trace.trace_id for trace in found] == [trace.trace_id for trace in (three, gone, one, two)]
        assert [bool(trace.spans) for trace in found] == [True, False, True, True]

    def test_a_trace_is_fetched_by_its_id_alone(self, source: Source) -> None:
        spans = new_trace()
        self.put(source, spans)
        (listed,) = source.index()
        by_id = IndexedTrace(trace_id=listed.trace_id, start_time=START, spans=())

        (trace,) = source.fetch([by_id])

        assert trace == next(iter(source.fetch([listed])))

    def test_a_trace_that_grew_has_another_digest_and_is_fetched_with_all_of_it(self, source: Source) -> None:
        spans = new_trace()
        self.put(source, spans)
        (before,) = source.fetch(source.index())

        self.put(source, [_later(spans, 1), _later(spans, 2)])
        (after,) = source.fetch(source.index())

        assert after.trace_id == before.trace_id
        assert after.start_time == before.start_time
        assert after.digest != before.digest
        if self.keeps_spans:
            assert len(after.spans) == len(before.spans) + 2

    def test_a_span_that_is_sent_twice_counts_once(self, source: Source) -> None:
        spans = new_trace(spans=3)
        self.put(source, spans)
        (before,) = source.fetch(source.index())
        if not self.keeps_spans:
            pytest.skip("spans are not sent to this source")

        # Something must arrive that can be waited for.
        self.put(source, [*spans[1:], *new_trace(hour=1)])

        assert next(iter(source.fetch(source.index()))) == before

    def test_a_new_span_moves_the_anchor_and_names_its_trace(self, source: Source) -> None:
        old, other = new_trace(), new_trace(hour=1)
        self.put(source, [*old, *other])
        before = source.probe()
        assert before is not None
        assert source.probe() == before
        assert not source.changed_since(before)

        self.put(source, [_later(old, 1)])

        assert source.probe() != before
        changed = source.changed_since(before)
        assert changed is None or list(changed) == [old[0].trace_id]

    def test_a_trace_that_arrives_late_is_named_although_it_started_long_ago(self, source: Source) -> None:
        self.put(source, new_trace(hour=48))
        before = source.probe()
        assert before is not None
        late = new_trace()
        self.put(source, late)

        assert source.probe() != before
        changed = source.changed_since(before)
        assert changed is None or list(changed) == [late[0].trace_id]
        assert _ids(source.index())[0] == late[0].trace_id

    def test_an_anchor_outlives_the_source_that_gave_it(self, source: Source) -> None:
        self.put(source, new_trace())
        before = source.probe()
        assert before is not None
        kept = replace(before, start_time=None)

        assert source.probe() == kept
        assert not source.changed_since(kept)

    def test_an_anchor_that_the_source_does_not_know_changes_nothing_or_all(self, source: Source) -> None:
        spans = new_trace()
        self.put(source, spans)
        found = source.probe()
        assert found is not None
        unknown = replace(found, token=found.token[::-1], row=None if found.row is None else found.row + 7)

        assert source.changed_since(unknown) in (None, {spans[0].trace_id: None})

    def test_a_deleted_trace_is_gone_and_the_others_stay(self, source: Source) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, _spans(traces))
        before = source.probe()
        listed = list(source.index())
        assert before is not None

        self.remove(source, [traces[1][0].trace_id])

        assert _ids(source.index()) == [traces[n][0].trace_id for n in (0, 2)]
        assert [bool(trace.spans) for trace in source.fetch(listed)] == [True, False, True]
        assert traces[1][0].trace_id not in (source.changed_since(before) or {})

    def test_a_clock_that_is_ahead_or_behind_hides_nothing(self, source: Source) -> None:
        wrong = [new_trace(hour=hour) for hour in (-400_000, 0, 200_000)]
        self.put(source, _spans(wrong))
        before = source.probe()
        assert before is not None

        assert _ids(source.index()) == [spans[0].trace_id for spans in wrong]

        new = new_trace(hour=1)
        self.put(source, new)

        assert source.probe() != before
        changed = source.changed_since(before)
        assert changed is None or list(changed) == [new[0].trace_id]
        assert new[0].trace_id in _ids(source.index(since=START))

    def test_a_source_that_may_not_read_says_so_and_is_not_empty(self, refused: Source) -> None:
        for read in (refused.probe, lambda: list(refused.index())):
            with pytest.raises(SourceError) as raised:
                read()
            assert str(raised.value).strip()

    def test_a_span_has_an_address_and_requests_are_counted(self, source: Source) -> None:
        self.put(source, new_trace())
        before = source.requests
        (trace,) = source.fetch(source.index())

        assert trace.spans[0].span_id in source.span_url(trace.trace_id, trace.spans[0].span_id)
        assert source.requests >= before
        assert source.name
        assert source.project

    def test_a_sync_accounts_for_every_trace_and_then_finds_nothing_new(
        self, source: Source, tmp_path: Path
    ) -> None:
        traces = [new_trace(hour=hour) for hour in range(3)]
        self.put(source, _spans(traces))
        first = _synced(source, tmp_path)
        requests = source.requests
        again = _synced(source, tmp_path)

        assert first.traces == again.traces == first.processed.total() == 3
        assert sum(first.states.values()) == 3
        assert (again.reading, again.processed.total()) == ("nothing", 0)
        assert source.requests - requests <= 2

        self.put(source, [_later(traces[0], 1), *new_trace(hour=3)])
        grown = _synced(source, tmp_path)

        assert (grown.traces, grown.processed.total()) == (4, 2)


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


def _later(spans: Sequence[Span], seconds: int) -> Span:
    """Return a span that joins the trace after all others."""
    after = max(span.end_time for span in spans) + timedelta(seconds=seconds)
    return replace(
        spans[-1],
        span_id=secrets.token_hex(8),
        name=f"late {seconds}",
        start_time=after,
        end_time=after + timedelta(seconds=1),
    )


def _spans(traces: Sequence[Sequence[Span]]) -> list[Span]:
    return [span for spans in traces for span in spans]


def _ids(traces: Any) -> list[str]:
    return [trace.trace_id for trace in traces]


def _synced(source: Source, data_dir: Path) -> Any:
    from kaizen.store import StoreSettings, open_store
    from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings

    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    with open_store(StoreSettings(data_dir=data_dir, backend="sqlite")) as store:
        return Sync(source, store, SyncSettings(include_errors=True), models).run()


def _essence(span: Span) -> tuple[object, ...]:
    attributes = {key: span.attributes.get(key) for key in ("llm.model_name", "input.value")}
    return span.span_id, span.parent_id, span.name, span.kind, span.status, span.start_time, attributes
