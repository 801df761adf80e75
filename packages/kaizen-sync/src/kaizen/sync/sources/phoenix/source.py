"""Reading traces from Arize Phoenix over its REST API, in bulk and whole.

Phoenix has no endpoint for whole traces with attributes, so a read has two steps: an index of what exists
(`/traces?include_spans=true`, cheap) and the spans of the traces that are wanted, by trace id. Phoenix's own
client reads spans in pages of 100 within 5 seconds each, and takes longer to import than a sync takes to run.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from kaizen.sync.errors import ProjectNotFoundError, SourceError
from kaizen.sync.model import Anchor, Annotation, IndexedSpan, IndexedTrace, Span, SpanEvent, Trace
from kaizen.sync.sources.phoenix.client import OLDEST_SERVER, PhoenixClient

if TYPE_CHECKING:
    from types import TracebackType

    from kaizen.sync.model import Target
    from kaizen.sync.settings import PhoenixSettings

T = TypeVar("T")

_INDEX_PAGE = 200
_ANSWER_BYTES = 6_000_000
_SPANS_PER_FETCH = 1000
_SPANS_AT_FIRST = 100
_SPANS_IF_UNKNOWN = 10
_TRACES_PER_FETCH = 100
_FETCHES = 2
_ANNOTATED_PER_REQUEST = 100
_ANNOTATIONS_PER_PAGE = 1000
_LISTS_TRACES = (13, 15)
_READS_BY_TRACE_ID = (13, 9)


class PhoenixSource:
    """One project of one Phoenix server. Every method raises `SourceError` with what to do about it."""

    name = "phoenix"

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        self._http = PhoenixClient(settings)
        self._resolved: str | None = None
        self._spans_per_answer = _SPANS_AT_FIRST

    @property
    def project(self) -> str:
        return self._settings.project

    @property
    def url(self) -> str:
        return self._settings.base_url

    @property
    def server_version(self) -> str:
        return self._http.server_version

    @property
    def requests(self) -> int:
        """The number of requests made so far."""
        return self._http.requests

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ping(self) -> str:
        """Ask the server for its projects and return its version."""
        self._http.page("/v1/projects", [("limit", "1")])
        return self.server_version

    def projects(self) -> list[str]:
        """Return the names of all projects on the server."""
        return [project["name"] for project in self._projects()]

    def probe(self) -> Anchor | None:
        """Return the newest row of the project, in one request beside that for the project's id."""
        page = self._http.page(self._path("spans"), [("limit", "1")])
        return _parse(_anchor, page.data[0], "spans") if page.data else None

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        """Yield the traces that started in that time with the ids and times of their spans, oldest first.

        Attributes are not read. A server that lists no traces (before 13.15) is asked for spans instead; then
        the traces come without spans.
        """
        if not self.lists_traces:
            yield from self._index_by_spans(since, until)
            return
        parameters = [
            ("include_spans", "true"),
            ("sort", "start_time"),
            ("order", "asc"),
            ("limit", str(_INDEX_PAGE)),
            *_times(since, until),
        ]
        path = self._path("traces")
        for page in self._http.pages(path, parameters):
            for trace in page.data:
                yield _parse(_indexed_trace, trace, path)

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        """Return the ids of all traces with rows newer than the anchor, oldest first.

        None if the anchor is gone: rows that came later may then have smaller ids.
        """
        trace_ids: dict[str, None] = {}
        path = self._path("spans")
        for span in self._newest_spans(path, []):
            row = _parse(_anchor, span, path)
            if row == anchor:
                return dict.fromkeys(reversed(trace_ids))
            if row.row <= anchor.row:
                return None
            trace_ids.setdefault(_parse(_trace_id, span, path))
        return None

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        """Yield the given traces, each whole and with attributes, in the order given.

        A trace that is gone meanwhile comes without spans; spans that arrived meanwhile are in. Two requests
        are under way while the caller works on what came before.
        """
        self._project_id()
        batches = self._batches(iter(traces))
        running: deque[Future[list[Trace]]] = deque()
        with ThreadPoolExecutor(_FETCHES, thread_name_prefix="kaizen-fetch") as executor:
            try:
                for batch in batches:
                    running.append(executor.submit(self._fetch, batch))
                    if len(running) == _FETCHES:
                        yield from running.popleft().result()
                while running:
                    yield from running.popleft().result()
            finally:
                for future in running:
                    future.cancel()

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
                        one, annotation = _parse(partial(_annotation, target), value, path)
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
        """Whether the server lists traces, by its version."""
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
        spans: dict[str, dict[str, Span]] = {trace.trace_id: {} for trace in batch}
        path = self._path("spans")
        limit = self._spans_per_answer
        parameters = [("limit", str(limit)), *(("trace_id", trace_id) for trace_id in spans)]
        for page in self._http.pages(path, parameters):
            self._adapt(len(page.data), page.size)
            for value in page.data:
                span = _parse(_span, value, path)
                # A span sent twice keeps its first version, as it does in Phoenix.
                spans.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
        return [
            Trace(
                trace_id=trace.trace_id,
                spans=tuple(sorted(spans[trace.trace_id].values(), key=lambda s: (s.start_time, s.span_id))),
            )
            for trace in batch
        ]

    def _adapt(self, spans: int, size: int) -> None:
        """Set how many spans to ask for next, by the size of these."""
        if spans:
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
            trace_id, start = _parse(_trace_start, span, path)
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


def _times(since: datetime | None, until: datetime | None) -> Iterator[tuple[str, str]]:
    if since is not None:
        yield "start_time", since.isoformat()
    if until is not None:
        yield "end_time", until.isoformat()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10]) or "none"
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _parse(parse: Callable[[Any], T], value: Any, path: str) -> T:
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{path} of Phoenix gave a record that Kaizen does not understand ({error!r}); "
            "run `kaizen doctor` and report it with the server's version"
        ) from error


def _anchor(value: Mapping[str, Any]) -> Anchor:
    return Anchor(
        row=_row(value["id"]),
        span_id=value["context"]["span_id"],
        start_time=datetime.fromisoformat(value["start_time"]),
    )


def _row(global_id: str) -> int:
    """Return the row number in Phoenix's id, which is `Span:<row>` in base64."""
    try:
        return int(base64.b64decode(global_id, validate=True).decode().rpartition(":")[2])
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{global_id!r} is no row id") from error


def _trace_id(value: Mapping[str, Any]) -> str:
    return str(value["context"]["trace_id"])


def _trace_start(value: Mapping[str, Any]) -> tuple[str, datetime]:
    return _trace_id(value), datetime.fromisoformat(value["start_time"])


def _indexed_trace(value: Mapping[str, Any]) -> IndexedTrace:
    return IndexedTrace(
        trace_id=value["trace_id"],
        start_time=datetime.fromisoformat(value["start_time"]),
        spans=tuple(
            IndexedSpan(
                span_id=span["span_id"],
                parent_id=span["parent_id"],
                end_time=datetime.fromisoformat(span["end_time"]),
            )
            for span in value["spans"]
        ),
    )


def _annotation(target: Target, value: Mapping[str, Any]) -> tuple[str, Annotation]:
    """Return the id of what an annotation is about, and the annotation."""
    result = value.get("result") or {}
    score = result.get("score")
    return str(value[f"{target}_id"]), Annotation(
        target=target,
        name=value["name"],
        label=result.get("label") or "",
        score=None if score is None else float(score),
        annotator_kind=value["annotator_kind"],
        explanation=result.get("explanation") or "",
    )


def _span(value: Mapping[str, Any]) -> Span:
    return Span(
        span_id=value["context"]["span_id"],
        trace_id=value["context"]["trace_id"],
        parent_id=value.get("parent_id"),
        name=value["name"],
        kind=value["span_kind"],
        status=value["status_code"],
        status_message=value.get("status_message") or "",
        start_time=datetime.fromisoformat(value["start_time"]),
        end_time=datetime.fromisoformat(value["end_time"]),
        attributes=value.get("attributes") or {},
        events=tuple(
            SpanEvent(name=event["name"], attributes=event.get("attributes") or {})
            for event in value.get("events") or ()
        ),
    )
