"""A Phoenix that holds the spans of one project, as far as a source asks for them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.ill_phoenix import PROJECTS, Answer, IllPhoenix, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kaizen.sync.model import Span
    from tests.support.ill_phoenix import Request


class PlayedPhoenix(IllPhoenix):
    """Answers as Phoenix 20.26 does: rows by number, spans by their ids once, traces by their start."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._rows: list[tuple[int, Span]] = []
        self._next = 1

    def add(self, spans: Sequence[Span]) -> None:
        for span in spans:
            if all(span.span_id != known.span_id for _, known in self._rows):
                self._rows.append((self._next, span))
                self._next += 1

    def remove(self, trace_ids: Sequence[str]) -> None:
        self._rows = [row for row in self._rows if row[1].trace_id not in trace_ids]

    def _answer(self, request: Request) -> Answer:
        if request.path == "/v1/projects":
            return PROJECTS
        if request.path.endswith("_annotations"):
            return page()
        return self._traces(request) if request.path.endswith("/traces") else self._spans(request)

    def _spans(self, request: Request) -> Answer:
        wanted = request.trace_ids
        rows = [row for row in self._rows[::-1] if not wanted or row[1].trace_id in wanted]
        return _page([_span(number, span) for number, span in rows], request)

    def _traces(self, request: Request) -> Answer:
        traces: dict[str, list[Span]] = {}
        for _, span in self._rows:
            traces.setdefault(span.trace_id, []).append(span)
        listed = sorted((min(s.start_time for s in spans), trace_id) for trace_id, spans in traces.items())
        query = request.query
        since, until = (_time(query.get(name)) for name in ("start_time", "end_time"))
        kept = [
            {"trace_id": trace_id, "start_time": start.isoformat(), "spans": _listed(traces[trace_id])}
            for start, trace_id in listed
            if (since is None or start >= since) and (until is None or start < until)
        ]
        return _page(kept, request)


def _page(values: Sequence[Any], request: Request) -> Answer:
    first, limit = int(request.query.get("cursor", "0")), int(request.query["limit"])
    rest = len(values) > first + limit
    return page(*values[first : first + limit], cursor=str(first + limit) if rest else None)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _listed(spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [
        {"span_id": s.span_id, "parent_id": s.parent_id, "end_time": s.end_time.isoformat()} for s in spans
    ]


def _span(number: int, span: Span) -> dict[str, Any]:
    return {
        "id": base64.b64encode(f"Span:{number}".encode()).decode(),
        "name": span.name,
        "context": {"trace_id": span.trace_id, "span_id": span.span_id},
        "span_kind": span.kind,
        "parent_id": span.parent_id,
        "start_time": span.start_time.isoformat(),
        "end_time": span.end_time.isoformat(),
        "status_code": span.status,
        "status_message": span.status_message,
        "attributes": dict(span.attributes),
        "events": [],
    }
