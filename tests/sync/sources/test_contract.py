"""Our sources, held to the contract that sources of others are held to."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from kaizen.sync import PhoenixSettings
from kaizen.sync.model import Trace
from kaizen.sync.sources.phoenix import source as phoenix_source
from kaizen.sync.sources.phoenix.source import PhoenixSource
from kaizen.sync.testing import SourceContract
from tests.support.ill_phoenix import Answer, IllPhoenix
from tests.support.listed import ListedSource
from tests.support.polling import wait_until
from tests.support.spans import delete_trace, make_span, post_spans, read_spans, send_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.demo.phoenix_server import PhoenixServer
    from kaizen.sync.model import Span
    from kaizen.sync.sources.base import Source


class TestPhoenix(SourceContract):
    many = 11

    @pytest.fixture(autouse=True)
    def pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phoenix_source, "_INDEX_PAGE", 5)

    @pytest.fixture
    def refused(self) -> Iterator[PhoenixSource]:
        with (
            IllPhoenix(Answer(status=401, body="Invalid token", content_type="text/plain")) as server,
            PhoenixSource(PhoenixSettings(base_url=server.url, project="p")) as source,
        ):
            yield source

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        assert isinstance(source, PhoenixSource)
        for trace_id in trace_ids:
            delete_trace(source.url, trace_id)

    @pytest.fixture
    def source(self, phoenix: PhoenixServer, project: str) -> Iterator[PhoenixSource]:
        post_spans(phoenix.url, project, [])
        with PhoenixSource(PhoenixSettings(base_url=phoenix.url, project=project)) as source:
            wait_until(lambda: project in source.projects(), what="the project")
            yield source

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        assert isinstance(source, PhoenixSource)
        sent = [
            make_span(
                name=span.name,
                kind=span.kind,
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                start=span.start_time,
                duration_s=(span.end_time - span.start_time).total_seconds(),
                attributes=span.attributes,
            )
            for span in spans
        ]
        known = {span["context"]["span_id"] for span in read_spans(source.url, source.project)}
        # Phoenix's REST interface refuses a span that it has.
        new = [span for span in sent if span["context"]["span_id"] not in known]
        send_spans(source.url, source.project, new)


class TestListed(SourceContract):
    """The source that tests of a sync use."""

    @pytest.fixture
    def source(self) -> ListedSource:
        return ListedSource([])

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        assert isinstance(source, ListedSource)
        held = {span.span_id: span for trace in source.traces.values() for span in trace.spans}
        new = [span for span in spans if span.span_id not in held]
        together = sorted(
            [*held.values(), *new], key=lambda span: (span.trace_id, span.start_time, span.span_id)
        )
        for trace_id, found in groupby(together, key=lambda span: span.trace_id):
            source.traces[trace_id] = Trace(trace_id=trace_id, spans=tuple(found))

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        assert isinstance(source, ListedSource)
        for trace_id in trace_ids:
            del source.traces[trace_id]
