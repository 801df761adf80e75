"""A source whose server lists traces and not their spans, such as MLflow and Langfuse.

What was seen of each trace is kept in a file of this machine. A trace is as it was seen if the server says
so, by what it lists or by how many spans it counts; otherwise it is fetched to find out.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kaizen.sync.model import Anchor, IndexedTrace, Trace
from kaizen.sync.sources.remote import RemoteSource, fetch_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from kaizen.sync.model import Span
    from kaizen.sync.sources.http import JsonClient
    from kaizen.sync.sources.seen import SeenTrace

# Spans of a trace arrive later than it starts.
_LATE = timedelta(hours=1)


class Listed(NamedTuple):
    """A trace as the server lists it.

    `state` changes with it, and `spans` is how many it has, as far as the server tells that.
    """

    trace_id: str
    start_time: datetime
    state: str
    spans: int = 0


class Totals(NamedTuple):
    """How many spans a project has, and its newest trace by its start."""

    spans: int
    newest_id: str
    newest_start: datetime

    def token(self) -> str:
        return json.dumps([self.spans, self.newest_id, self.newest_start.isoformat()])

    @classmethod
    def of(cls, token: str) -> Totals | None:
        """Return what `token` gave; None if it comes from elsewhere."""
        try:
            spans, newest_id, newest_start = json.loads(token)
            return cls(int(spans), str(newest_id), datetime.fromisoformat(newest_start))
        except (ValueError, TypeError):
            return None


class FoundTrace(NamedTuple):
    """A trace as the server gave it: its spans, and what the listing tells of it."""

    spans: Sequence[Span]
    state: str


class ListingSource(RemoteSource["JsonClient"]):
    """What such sources have in common. Subclasses are sources, and say how their server is asked."""

    fetched_at_once = 1

    def __init__(self, http: JsonClient, seen: Path, *, project: str) -> None:
        # Sources that are built and not read import no database.
        from kaizen.sync.sources.seen import SeenTraces

        super().__init__(http)
        self.project = project
        self._seen = SeenTraces(seen)

    def close(self) -> None:
        super().close()
        self._seen.close()

    def probe(self) -> Anchor | None:
        totals = self._totals()
        return Anchor(token=totals.token(), start_time=totals.newest_start) if totals else None

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        """Yield the traces that started in that time, oldest first; with spans where none can have come."""
        is_whole = since is None and until is None
        if is_whole:
            self._seen.begin_listing()
        for page in self._pages(since, until):
            seen = self._seen.find([listed.trace_id for listed in page])
            as_seen = self._as_seen(page, seen)
            if is_whole:
                self._seen.meet(list(seen))
            for trace_id, start_time, *_ in page:
                is_known = trace_id in as_seen
                yield (
                    seen[trace_id].trace
                    if is_known
                    else IndexedTrace(trace_id=trace_id, start_time=start_time, spans=())
                )
        if is_whole:
            self._seen.end_listing()

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        """Return the traces of the last hour that are not as they were seen; None if older ones changed."""
        before = Totals.of(anchor.token)
        now = self._totals()
        if before is None or now is None:
            return None
        if now == before:
            return {}
        since = min(before.newest_start, datetime.now(UTC)) - _LATE
        # Whoever has not seen what was there before cannot tell what is new.
        if self._seen.count_spans() < before.spans:
            return None
        changed: dict[str, None] = {}
        newer = 0
        for page in self._pages(since, None):
            seen = self._seen.find([listed.trace_id for listed in page])
            as_seen = self._as_seen(page, seen)
            changed |= {listed.trace_id: None for listed in page if listed.trace_id not in as_seen}
            newer += sum(listed.spans for listed in page)
        older = self._count_older(since, now.spans - newer)
        return changed if older == self._seen.count_spans(before=since) else None

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        """Yield the given traces, each whole and with attributes, in the order given.

        Two requests are under way while the caller works on what came before.
        """
        self._prepare()
        yield from fetch_ahead(self._batches(trace.trace_id for trace in traces), self._fetch)

    def _batches(self, trace_ids: Iterator[str]) -> Iterator[list[str]]:
        while few := list(islice(trace_ids, self.fetched_at_once)):
            yield few

    def _fetch(self, trace_ids: Sequence[str]) -> list[Trace]:
        found = self._find(trace_ids)
        if missing := [trace_id for trace_id in trace_ids if trace_id not in found]:
            # One empty answer of a proxy must not count as the deletion of traces.
            found |= self._find(missing)
        traces = [
            (Trace(trace_id=trace_id, spans=_sorted(given.spans)), given.state)
            for trace_id in trace_ids
            for given in [found.get(trace_id, FoundTrace((), ""))]
        ]
        self._seen.add(traces)
        return [trace for trace, _ in traces]

    def _pages(self, since: datetime | None, until: datetime | None) -> Iterator[list[Listed]]:
        """Yield what starts in that time, oldest first and each once.

        Each page starts where the one before ended, so that what comes or goes meanwhile shifts nothing.
        """
        last: set[str] = set()
        place = ""
        while True:
            page, more = self._page(since, until, place)
            new = [listed for listed in page if listed.trace_id not in last]
            if new:
                yield new
            if not more:
                return
            end = page[-1].start_time
            # As many as fill a page may have started together.
            place = more if since is not None and end <= since else ""
            if not place:
                last = set()
            since = end if not place else since
            last |= {listed.trace_id for listed in page}

    def _prepare(self) -> None:
        """Ask for what the threads that fetch would all ask for."""

    def _as_seen(self, page: Sequence[Listed], seen: dict[str, SeenTrace]) -> set[str]:
        """Return which traces of a page are as they were seen."""
        return {
            listed.trace_id
            for listed in page
            if listed.trace_id in seen and seen[listed.trace_id].state == listed.state
        }

    def _totals(self) -> Totals | None:
        """Return how far the project has come, in two requests; None if it is empty."""
        raise NotImplementedError

    def _page(self, since: datetime | None, until: datetime | None, place: str) -> tuple[list[Listed], str]:
        """Return traces that started then, oldest first, and the place of the page after; empty if none."""
        raise NotImplementedError

    def _count_older(self, since: datetime, left: int) -> int:
        """Return how many spans the traces have that started before.

        So many are `left` of all if those of the others, which were listed, are taken away.
        """
        return left

    def _find(self, trace_ids: Sequence[str]) -> dict[str, FoundTrace]:
        """Return those of the traces that the server has, whole."""
        raise NotImplementedError


def _sorted(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start_time, span.span_id)))
