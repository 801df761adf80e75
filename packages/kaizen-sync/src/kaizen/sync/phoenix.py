"""Reading traces from Arize Phoenix over its REST API, in bulk and whole.

Phoenix has no endpoint for whole traces with attributes, so a read has two steps: an index of what exists
(`/traces?include_spans=true`, cheap) and the spans of the traces that are wanted, by trace id. The official
client offers neither, and takes far longer to import than a sync takes to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from kaizen.sync.backoff import wait_s
from kaizen.sync.errors import ProjectNotFoundError, SourceError
from kaizen.sync.model import IndexedSpan, IndexedTrace, Span, SpanEvent, Trace

if TYPE_CHECKING:
    from types import TracebackType

    import httpx
    import tenacity

    from kaizen.sync.settings import PhoenixSettings

T = TypeVar("T")

_INDEX_PAGE = 200
_SPANS_PER_FETCH = 400
_TRACES_PER_FETCH = 50
_SPAN_PAGE = 1000
_ATTEMPTS = 4
_LONGEST_WAIT_S = 30.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_OLDEST_SERVER = "13.15"


class PhoenixSource:
    """One project of one Phoenix server. Every method raises `SourceError` with what to do about it."""

    name = "phoenix"

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        self._client: httpx.Client | None = None
        self._project_id: str | None = None
        self.server_version = ""
        self.requests = 0

    @property
    def project(self) -> str:
        return self._settings.project

    @property
    def url(self) -> str:
        return self._settings.base_url

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
        if self._client is not None:
            self._client.close()
            self._client = None

    def ping(self) -> str:
        """Ask the server for its projects and return its version."""
        self._get("/v1/projects", {"limit": "1"})
        return self.server_version

    def projects(self) -> list[str]:
        """The names of all projects on the server."""
        return [project["name"] for project in self._projects()]

    def index(self) -> Iterator[IndexedTrace]:
        """All traces of the project with their spans' ids and times, oldest first, without attributes."""
        parameters = {
            "include_spans": "true",
            "sort": "start_time",
            "order": "asc",
            "limit": str(_INDEX_PAGE),
        }
        path = f"/v1/projects/{self._resolve_project()}/traces"
        for trace in self._pages(path, list(parameters.items())):
            yield _parse(_indexed_trace, trace, path)

    def fetch(self, traces: Sequence[IndexedTrace]) -> Iterator[Trace]:
        """The given traces, each whole and with attributes, in the order given.

        A trace that is gone meanwhile is left out; spans that arrived meanwhile are in.
        """
        for batch in _batches(traces):
            spans: dict[str, dict[str, Span]] = {trace.trace_id: {} for trace in batch}
            path = f"/v1/projects/{self._resolve_project()}/spans"
            parameters = [("limit", str(_SPAN_PAGE)), *(("trace_id", trace_id) for trace_id in spans)]
            for value in self._pages(path, parameters):
                span = _parse(_span, value, path)
                # A span sent twice keeps its first version, as it does in Phoenix.
                spans.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
            for trace in batch:
                found = sorted(spans[trace.trace_id].values(), key=lambda s: (s.start_time, s.span_id))
                if found:
                    yield Trace(trace_id=trace.trace_id, spans=tuple(found))

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Where a person sees the span in Phoenix's UI."""
        return (
            f"{self.url}/redirects/spans/{span_id}" if span_id else f"{self.url}/redirects/traces/{trace_id}"
        )

    def _resolve_project(self) -> str:
        """The project's id: a name with a slash cannot be part of a path, and one may look like an id."""
        if self._project_id is None:
            projects = self._projects()
            wanted = self.project
            self._project_id = next((p["id"] for p in projects if p["name"] == wanted), None)
            if self._project_id is None:
                names = tuple(sorted(p["name"] for p in projects))
                raise ProjectNotFoundError(
                    f"Phoenix at {self.url} has no project '{wanted}'; it has: {_listed(names)}. "
                    "Choose one with --project, or run the agent with KAIZEN_TRACING_PROJECT set to it",
                    project=wanted,
                    available=names,
                )
        return self._project_id

    def _projects(self) -> list[dict[str, str]]:
        projects = list(self._pages("/v1/projects", [("limit", "500")]))
        if not all(
            isinstance(p, dict) and all(isinstance(p.get(key), str) for key in ("id", "name"))
            for p in projects
        ):
            raise SourceError(self._unexpected("/v1/projects", "projects without id or name"))
        return projects

    def _pages(self, path: str, parameters: Sequence[tuple[str, str]]) -> Iterator[Any]:
        cursor: str | None = None
        seen: set[str] = set()
        before: list[Any] = []
        while True:
            more = [("cursor", cursor)] if cursor else []
            answer = self._get(path, [*parameters, *more])
            data, following = answer.get("data"), answer.get("next_cursor")
            if not isinstance(data, list):
                raise SourceError(self._unexpected(path, "no page of data"))
            # A proxy that drops or caches the query would be read for ever.
            if following and (str(following) in seen or data in ([], before)):
                raise SourceError(self._unexpected(path, "pages without end"))
            yield from data
            if not following:
                return
            cursor, before = str(following), data
            seen.add(cursor)

    def _get(self, path: str, parameters: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, Any]:
        """One GET, tried again after a connection error, a 429 or a 5xx; raises `SourceError` otherwise."""
        import httpx
        import tenacity

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type((httpx.TransportError, _TransientAnswerError)),
            reraise=True,
        )
        query = httpx.QueryParams(list(parameters.items() if isinstance(parameters, Mapping) else parameters))
        try:
            return retrying(self._get_once, path, query)
        except _TransientAnswerError as error:
            raise SourceError(self._refused(error.response)) from error
        except httpx.TimeoutException as error:
            raise SourceError(
                f"Phoenix at {self.url} did not answer within {self._settings.timeout_s:g} s ({path}); "
                "it may be busy: try again, or give it more time with KAIZEN_PHOENIX_TIMEOUT"
            ) from error
        # The last two are for hosts that cannot be.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise SourceError(
                f"cannot reach Phoenix at {self.url} ({error}); start it with `phoenix serve`, "
                "or say where it is with --url or PHOENIX_URL"
            ) from error

    def _get_once(self, path: str, query: httpx.QueryParams) -> dict[str, Any]:
        import httpx

        if self._client is None:
            settings = self._settings
            timeout = httpx.Timeout(settings.timeout_s, connect=min(5.0, settings.timeout_s))
            self._client = httpx.Client(
                headers=dict(settings.headers), timeout=timeout, trust_env=not _is_local(self.url)
            )
        self.requests += 1
        response = self._client.get(self.url + path, params=query)
        self.server_version = response.headers.get("x-phoenix-server-version", self.server_version)
        if response.status_code in _TRANSIENT:
            raise _TransientAnswerError(response)
        if response.status_code != httpx.codes.OK:
            raise SourceError(self._refused(response))
        if "json" not in response.headers.get("content-type", ""):
            raise SourceError(
                self._unexpected(path, response.headers.get("content-type") or "no content type")
            )
        try:
            answer = response.json()
        except (ValueError, RecursionError) as error:
            raise SourceError(self._unexpected(path, "broken JSON")) from error
        if not isinstance(answer, dict):
            raise SourceError(self._unexpected(path, type(answer).__name__))
        return answer

    def _refused(self, response: httpx.Response) -> str:
        said = " ".join(response.text.split())[:200]
        if response.has_redirect_location:
            said = f"a redirect to {response.headers['location'][:200]}"
        advice = {
            401: "set PHOENIX_API_KEY to a valid key",
            403: "the key in PHOENIX_API_KEY may not read this project",
            404: "check --url; the project may have been deleted meanwhile",
            422: "the server may be of a version that Kaizen does not know; run `kaizen doctor`",
            429: "Phoenix is refusing so many requests; try again later",
        }.get(
            response.status_code,
            "name the server itself with --url"
            if response.has_redirect_location
            else "look at the server's log, then try again",
        )
        return f"Phoenix at {self.url} answered {response.status_code} ({said or 'no text'}): {advice}"

    def _unexpected(self, path: str, what: str) -> str:
        version = self.server_version or "unknown"
        return (
            f"{self.url}{path} answered with {what} where JSON of Phoenix's REST API was expected; check "
            f"that --url names a Phoenix server of version {_OLDEST_SERVER} or newer (this one: {version})"
        )


class _TransientAnswerError(Exception):
    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    headers = error.response.headers if isinstance(error, _TransientAnswerError) else {}
    return wait_s(
        state,
        headers.get("retry-after"),
        longest_asked_s=_LONGEST_WAIT_S,
        first_s=0.2,
        longest_s=5.0,
        jitter_s=0.2,
    )


def _is_local(url: str) -> bool:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10]) or "none"
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _batches(traces: Sequence[IndexedTrace]) -> Iterator[list[IndexedTrace]]:
    """Groups small enough for one request each; a trace larger than that is a group of its own."""
    batch: list[IndexedTrace] = []
    spans = 0
    for trace in traces:
        if batch and (spans + len(trace.spans) > _SPANS_PER_FETCH or len(batch) == _TRACES_PER_FETCH):
            yield batch
            batch, spans = [], 0
        batch.append(trace)
        spans += len(trace.spans)
    if batch:
        yield batch


def _parse(parse: Callable[[Any], T], value: Any, path: str) -> T:
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{path} of Phoenix gave a record that Kaizen does not understand ({error!r}); "
            "run `kaizen doctor` and report it with the server's version"
        ) from error


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
