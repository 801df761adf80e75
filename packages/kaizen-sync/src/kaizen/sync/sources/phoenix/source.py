"""Reading traces from Arize Phoenix over its REST API, in bulk and whole.

Phoenix has no endpoint for whole traces with attributes, so a read has two steps: an index of what exists
(`/traces?include_spans=true`, cheap) and the spans of the traces that are wanted, by trace id. Phoenix's own
client reads spans in pages of 100 within 5 seconds each, and takes longer to import than a sync takes to run.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kaizen.sync.errors import ProjectNotFoundError, SourceError
from kaizen.sync.model import Anchor, Annotation, IndexedTrace, Span, Trace
from kaizen.sync.settings import PhoenixSettings
from kaizen.sync.sources.http import ServerFailedError
from kaizen.sync.sources.phoenix import records
from kaizen.sync.sources.phoenix.client import OLDEST_SERVER, PhoenixClient
from kaizen.sync.sources.remote import RemoteSource, fetch_ahead

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from kaizen.sync.model import Target
    from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator

_log = logging.getLogger(__name__)

_INDEX_PAGE = 200
_ANSWER_BYTES = 6_000_000  # an answer is held in memory twice, as text and as values
# Phoenix takes no greater limit.
_SPANS_PER_FETCH = 1000
_SPANS_AT_FIRST = 100
_SPANS_IF_UNKNOWN = 10
_TRACES_PER_FETCH = 100  # each id takes 42 characters of the URL
_ANNOTATED_PER_REQUEST = 100
_ANNOTATIONS_PER_PAGE = 1000
_LISTS_TRACES = (13, 15)  # the version of Phoenix that brought `/traces`
_READS_BY_TRACE_ID = (13, 9)  # the one that brought `trace_id` for `/spans`


class PhoenixSource(RemoteSource[PhoenixClient]):
    """One project of one Phoenix server. Every method raises `SourceError` with what to do about it."""

    name = "phoenix"
    settings_type = PhoenixSettings

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        super().__init__(PhoenixClient(settings))
        self._resolved: str | None = None
        self._known: dict[str, str] = {}
        self._spans_per_answer = _SPANS_AT_FIRST

    @property
    def project(self) -> str:
        return self._settings.project

    def ping(self) -> str:
        """Ask the server for its projects and return its version."""
        self._http.page("/v1/projects", [("limit", "1")])
        return self.server_version

    def projects(self) -> list[str]:
        """Return the names of all projects on the server."""
        return [project["name"] for project in self._projects()]

    def for_project(self, project: str) -> PhoenixSource:
        """Return the source of that project, over the same connections; it is closed with this one."""
        if project not in self._known:
            self._known = {p["name"]: p["id"] for p in self._projects()}
        source = PhoenixSource(self._settings.model_copy(update={"project": project}))
        source._http = self._http.shared()
        source._resolved = self._known.get(project)
        return source

    def admit_requests(self, admit: Callable[[], None]) -> None:
        """Have `admit` called before each request, also of the projects' sources; it may wait."""
        self._http.admit = admit

    def annotator(self) -> PhoenixAnnotator:
        """Return what writes into the server what became of traces."""
        from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator

        return PhoenixAnnotator(self._settings)

    def probe(self) -> Anchor | None:
        """Return the newest row of the project, in one request beside that for the project's id."""
        page = next(self._http.pages(self._path("spans"), [("limit", "1")], may_be_empty=False))
        return records.parse(records.anchor, page.data[0], "spans") if page.data else None

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        """Yield the traces that started in that time with the ids and times of their spans, oldest first.

        Attributes are not read. A server that lists no traces (before 13.15), or fails to, is asked for spans
        instead; then the traces come without spans.
        """
        # Hashes and not ids: a project may hold millions of traces.
        listed = array("q")
        if self.lists_traces:
            try:
                for trace in self._index_by_traces(since, until):
                    listed.append(hash(trace.trace_id))
                    yield trace
                return
            except ServerFailedError as error:
                # Token counts that add up beyond 64 bits do that, whoever sent them.
                _log.warning("reading the project span by span: %s", error)
        known = set(listed)
        for trace in self._index_by_spans(since, until):
            if hash(trace.trace_id) not in known:
                yield trace

    def _index_by_traces(self, since: datetime | None, until: datetime | None) -> Iterator[IndexedTrace]:
        parameters = [
            ("include_spans", "true"),
            ("sort", "start_time"),
            ("order", "asc"),
            ("limit", str(_INDEX_PAGE)),
            *_times(since, until),
        ]
        path = self._path("traces")
        for page in self._http.pages(path, parameters, may_be_empty=False):
            for trace in page.data:
                yield records.parse(records.indexed_trace, trace, path)

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        """Return the ids of all traces with rows newer than the anchor, oldest first.

        None if the anchor is gone: rows that came later may then have smaller ids.
        """
        trace_ids: dict[str, None] = {}
        path = self._path("spans")
        for span in self._newest_spans(path, []):
            row = records.parse(records.anchor, span, path)
            if row == anchor:
                return dict.fromkeys(reversed(trace_ids))
            if _number(row) <= _number(anchor):
                return None
            trace_ids.setdefault(records.parse(records.trace_id_of, span, path))
        return None

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        """Yield the given traces, each whole and with attributes, in the order given.

        A trace that is gone meanwhile comes without spans; spans that arrived meanwhile are in. Two requests
        are under way while the caller works on what came before.
        """
        self._project_id()
        # The project is known by now, so that the threads do not all look it up.
        yield from fetch_ahead(self._batches(iter(traces)), self._fetch)

    def annotations(self, target: Target, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        """Return the annotations of those traces, sessions or spans by their ids: one request for a hundred.

        Empty if the server has none of them any more, or keeps no annotations of that kind. Read over plain
        HTTP, since a sync that finds nothing new asks too and must not import Phoenix's client for it.
        """
        found: dict[str, list[Annotation]] = {}
        path = self._path(f"{target}_annotations")
        for start in range(0, len(ids), _ANNOTATED_PER_REQUEST):
            asked = [(f"{target}_ids", one) for one in ids[start : start + _ANNOTATED_PER_REQUEST]]
            try:
                for page in self._http.pages(path, [("limit", str(_ANNOTATIONS_PER_PAGE)), *asked]):
                    for value in page.data:
                        one, annotation = records.parse(partial(records.annotation_of, target), value, path)
                        found.setdefault(one, []).append(annotation)
            except SourceError as error:
                if not error.is_nothing_there:
                    raise
        return found

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Return the address of the span in Phoenix's UI."""
        return (
            f"{self.url}/redirects/spans/{span_id}" if span_id else f"{self.url}/redirects/traces/{trace_id}"
        )

    @property
    def lists_traces(self) -> bool:
        """Return whether the server lists traces, by its version."""
        self._project_id()
        return reading_by(self.server_version) == "index"

    def _path(self, what: str) -> str:
        return f"/v1/projects/{self._project_id()}/{what}"

    def _project_id(self) -> str:
        """Return the id of the project: a name may hold a slash, or look like another one's id."""
        if self._resolved is None:
            projects = self._projects()
            if reading_by(self.server_version) == "nothing":
                raise SourceError(
                    f"Phoenix at {self.url} is of version {self.server_version}, which cannot be asked for "
                    f"single traces; Kaizen needs {OLDEST_SERVER} or newer"
                )
            self._resolved = next((p["id"] for p in projects if p["name"] == self.project), None)
            if self._resolved is None:
                names = tuple(sorted(p["name"] for p in projects))
                raise ProjectNotFoundError(
                    f"Phoenix at {self.url} has no project '{self.project}'; it has: {_listed(names)}. "
                    "Choose one with --project, or run the agent with KAIZEN_TRACING_PROJECT set to it",
                    project=self.project,
                    available=names,
                )
        return self._resolved

    def _projects(self) -> list[dict[str, str]]:
        pages = self._http.pages("/v1/projects", [("limit", "500")])
        projects = [project for page in pages for project in page.data]
        if not all(
            isinstance(p, dict) and all(isinstance(p.get(key), str) for key in ("id", "name"))
            for p in projects
        ):
            raise SourceError(self._http.unexpected("/v1/projects", "projects without id or name"))
        return projects

    def _batches(self, traces: Iterator[IndexedTrace]) -> Iterator[list[IndexedTrace]]:
        """Yield groups of traces that fit into one answer; a larger trace is a group of its own."""
        batch: list[IndexedTrace] = []
        spans = 0
        for trace in traces:
            more = len(trace.spans) or _SPANS_IF_UNKNOWN
            if batch and (spans + more > self._spans_per_answer or len(batch) == _TRACES_PER_FETCH):
                yield batch
                batch, spans = [], 0
            batch.append(trace)
            spans += more
        if batch:
            yield batch

    def _fetch(self, batch: Sequence[IndexedTrace]) -> list[Trace]:
        spans = self._spans_of([trace.trace_id for trace in batch])
        if missing := [trace_id for trace_id, found in spans.items() if not found]:
            # One empty answer of a proxy must not count as the deletion of traces.
            spans.update(self._spans_of(missing))
        return [
            Trace(
                trace_id=trace.trace_id,
                spans=tuple(sorted(spans[trace.trace_id].values(), key=lambda s: (s.start_time, s.span_id))),
            )
            for trace in batch
        ]

    def _spans_of(self, trace_ids: Sequence[str]) -> dict[str, dict[str, Span]]:
        """Return the spans of each of the traces by their ids."""
        spans: dict[str, dict[str, Span]] = {trace_id: {} for trace_id in trace_ids}
        path = self._path("spans")
        limit = self._spans_per_answer
        parameters = [("limit", str(limit)), *(("trace_id", trace_id) for trace_id in spans)]
        for page in self._http.pages(path, parameters):
            self._adapt(len(page.data), page.size)
            for value in page.data:
                span = records.parse(records.span_of, value, path)
                # A span sent twice keeps its first version, as it does in Phoenix.
                spans.get(span.trace_id, {}).setdefault(span.span_id, span)
        return spans

    def _adapt(self, spans: int, size: int) -> None:
        """Set how many spans to ask for next, by the size of these."""
        if spans:
            # Growing slowly, since a few small spans say little about the next ones.
            fitting = _ANSWER_BYTES * spans // max(size, 1)
            self._spans_per_answer = max(1, min(fitting, 4 * self._spans_per_answer, _SPANS_PER_FETCH))

    def _newest_spans(self, path: str, parameters: Sequence[tuple[str, str]]) -> Iterator[Any]:
        """Yield the spans of the project from the newest row on, in answers that grow to a good size."""
        cursor = ""
        while True:
            asked = [
                ("limit", str(self._spans_per_answer)),
                *parameters,
                *([("cursor", cursor)] if cursor else []),
            ]
            page = self._http.page(path, asked)
            self._adapt(len(page.data), page.size)
            yield from page.data
            if not page.cursor or page.cursor == cursor:
                return
            cursor = page.cursor

    def _index_by_spans(self, since: datetime | None, until: datetime | None) -> Iterator[IndexedTrace]:
        path = self._path("spans")
        starts: dict[str, datetime] = {}
        for span in self._newest_spans(path, list(_times(since, until))):
            trace_id, start = records.parse(records.trace_start, span, path)
            starts[trace_id] = min(start, starts.get(trace_id, start))
        for trace_id, start in sorted(starts.items(), key=lambda item: (item[1], item[0])):
            yield IndexedTrace(trace_id=trace_id, start_time=start, spans=())


def reading_by(version: str) -> Literal["index", "spans", "nothing"]:
    """Return how a server of that version is read; one that names no version is taken to be new."""
    numbers = version.split(".")[:2]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return "index"
    told = (int(numbers[0]), int(numbers[1]))
    if told >= _LISTS_TRACES:
        return "index"
    return "spans" if told >= _READS_BY_TRACE_ID else "nothing"


def _number(anchor: Anchor) -> int:
    return anchor.row or 0


def _times(since: datetime | None, until: datetime | None) -> Iterator[tuple[str, str]]:
    if since is not None:
        yield "start_time", since.isoformat()
    if until is not None:
        yield "end_time", until.isoformat()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10]) or "none"
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
