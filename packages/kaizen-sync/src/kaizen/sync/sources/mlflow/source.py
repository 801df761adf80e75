"""Traces in MLflow 3, read over its REST interface."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kaizen.sync.errors import ProjectNotFoundError, SourceError
from kaizen.sync.sources.http import JsonClient
from kaizen.sync.sources.listing import FoundTrace, Listed, ListingSource, Totals
from kaizen.sync.sources.mlflow import records
from kaizen.sync.sources.mlflow.settings import MlflowSettings
from kaizen.sync.sources.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.model import Annotation, Target
    from kaizen.sync.sources.seen import SeenTrace

_PAGE = 500  # MLflow gives no more
_ANSWER_BYTES = 6_000_000  # an answer is held in memory twice, as text and as values
_TRACES_AT_FIRST = 10
_TRACES_PER_FETCH = 100  # each id takes 46 characters of the URL
_COUNTS_PER_PAGE = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_END_MS = 10_000_000_000_000  # the year 2286
_SEARCH = "/api/3.0/mlflow/traces/search"
_FIND = "/api/3.0/mlflow/traces/batchGet"
_COUNT = "/api/3.0/mlflow/traces/metrics"
_EXPERIMENTS = "/api/2.0/mlflow/experiments/search"


class MlflowSource(ListingSource):
    """Read the traces of an MLflow experiment and store what they teach.

    The server is one of MLflow 3. Traces come from MLflow's own instrumentation or by OTLP. Assessments say
    how runs ended.

    Example: kaizen sync mlflow --url http://localhost:5000 --project support-agent
    """

    name = "mlflow"
    settings_type = MlflowSettings

    def __init__(self, settings: MlflowSettings) -> None:
        http = JsonClient(settings.server())
        seen = settings.index_path(self.name, f"{http.url}\n{settings.project}")
        super().__init__(http, seen, project=settings.project)
        self._resolved = ""
        self.fetched_at_once = _TRACES_AT_FIRST

    def projects(self) -> list[str]:
        """Return the names of all experiments."""
        return list(self._experiments())

    def annotations(self, target: Target, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        """Return the assessments of those traces by their ids; those of sessions and spans are not read."""
        found: dict[str, list[Annotation]] = {}
        if target != "trace":
            return found
        for start in range(0, len(ids), _TRACES_PER_FETCH):
            few = ", ".join(f"'{records.their_id(one)}'" for one in ids[start : start + _TRACES_PER_FETCH])
            answer = self._search(f"attributes.request_id IN ({few})", size=_TRACES_PER_FETCH)
            for info in _list(answer, "traces"):
                listed = parse("MLflow", records.listed_of, info, _SEARCH)
                found[listed.trace_id] = parse("MLflow", records.annotations_of, info, _SEARCH)
        return found

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Return the address of the trace in MLflow's UI, with the span."""
        of_experiment = f"{self.url}/#/experiments/{self._resolved or quote(self.project, safe='')}"
        return f"{of_experiment}/traces?selectedEvaluationId={records.their_id(trace_id)}&span={span_id}"

    def _totals(self) -> Totals | None:
        spans = self._count(0, _END_MS)
        newest = _list(self._search("", size=1, order="DESC"), "traces")
        if not newest:
            return None
        listed = parse("MLflow", records.listed_of, newest[0], _SEARCH)
        return Totals(spans, listed.trace_id, listed.start_time)

    def _page(self, since: datetime | None, until: datetime | None, place: str) -> tuple[list[Listed], str]:
        limits = [("timestamp_ms >= ", since), ("timestamp_ms < ", until)]
        where = " AND ".join(f"{limit}{_ms(time)}" for limit, time in limits if time)
        answer = self._search(where, size=_PAGE, place=place)
        page = [parse("MLflow", records.listed_of, info, _SEARCH) for info in _list(answer, "traces")]
        return page, str(answer.get("next_page_token") or "") if page else ""

    def _as_seen(self, page: Sequence[Listed], seen: dict[str, SeenTrace]) -> set[str]:
        """Return which traces are as they were seen, by how many spans they have together.

        MLflow counts the spans of traces that started within a time, and lists no counts. So where the traces
        of a page have more than were seen, its halves are asked for, a few times.
        """
        same = super()._as_seen(page, seen)
        as_seen: set[str] = set()
        counts = 0
        groups = [list(page)]
        while groups and counts < _COUNTS_PER_PAGE:
            group = groups.pop()
            ids = {listed.trace_id for listed in group}
            if ids <= same:
                counts += 1
                spans = sum(len(seen[trace_id].trace.spans) for trace_id in ids)
                if self._count(_ms(group[0].start_time), _ms(group[-1].start_time) + 1) == spans:
                    as_seen |= ids
                    continue
            if ids & same:
                groups += _halves(group)
        return as_seen

    def _count_older(self, since: datetime, left: int) -> int:
        return self._count(0, _ms(since))

    def _prepare(self) -> None:
        self._experiment_id()

    def _find(self, trace_ids: Sequence[str]) -> dict[str, FoundTrace]:
        asked = [("trace_ids", records.their_id(trace_id)) for trace_id in trace_ids]
        answer = self._http.ask(_FIND, asked)
        traces = _list(answer.value, "traces")
        if traces:
            # Growing slowly, since a few small traces say little about the next ones.
            fitting = _ANSWER_BYTES * len(traces) // max(answer.size, 1)
            self.fetched_at_once = max(1, min(fitting, 4 * self.fetched_at_once, _TRACES_PER_FETCH))
        return dict(parse("MLflow", records.found_of, value, _FIND) for value in traces)

    def _search(self, where: str, *, size: int, order: str = "ASC", place: str = "") -> dict[str, Any]:
        location = {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": self._experiment_id()},
        }
        body = {
            "locations": [location],
            "filter": where,
            "max_results": size,
            "order_by": [f"timestamp_ms {order}"],
        }
        return self._http.ask(_SEARCH, body=body | ({"page_token": place} if place else {})).value

    def _count(self, start_ms: int, end_ms: int) -> int:
        """Return how many spans the traces have that started in that time."""
        if end_ms <= start_ms:
            return 0
        body = {
            "experiment_ids": [self._experiment_id()],
            "view_type": "SPANS",
            "metric_name": "span_count",
            "aggregations": [{"aggregation_type": "COUNT"}],
            "start_time_ms": start_ms,
            "end_time_ms": end_ms - 1,
        }
        points = _list(self._http.ask(_COUNT, body=body).value, "data_points")
        return sum(int(parse("MLflow", _count_of, point, _COUNT)) for point in points)

    def _experiment_id(self) -> str:
        if not self._resolved:
            experiments = self._experiments()
            if self.project not in experiments:
                names = tuple(sorted(experiments))
                shown = ", ".join(f"'{name}'" for name in names[:10]) or "none"
                raise ProjectNotFoundError(
                    f"MLflow at {self.url} has no experiment '{self.project}'; it has: {shown}. "
                    "Choose one with --project or MLFLOW_EXPERIMENT_NAME",
                    project=self.project,
                    available=names,
                )
            self._resolved = experiments[self.project]
        return self._resolved

    def _experiments(self) -> dict[str, str]:
        """Return the ids of all experiments by their names."""
        found: dict[str, str] = {}
        place = ""
        while True:
            body = {"max_results": 1000, **({"page_token": place} if place else {})}
            answer = self._http.ask(_EXPERIMENTS, body=body).value
            for value in _list(answer, "experiments"):
                name, experiment_id = parse("MLflow", _experiment_of, value, _EXPERIMENTS)
                found[name] = experiment_id
            if not answer.get("next_page_token") or answer["next_page_token"] == place:
                return found
            place = str(answer["next_page_token"])


def _list(answer: dict[str, Any], name: str) -> list[Any]:
    """Return a list of an answer, which MLflow leaves out if it is empty."""
    found = answer.get(name, [])
    if not isinstance(found, list):
        raise SourceError(f"MLflow gave {type(found).__name__} for '{name}' where a list was expected")
    return found


def _count_of(point: Mapping[str, Any]) -> float:
    return float(point["values"]["COUNT"])


def _experiment_of(value: Mapping[str, Any]) -> tuple[str, str]:
    return str(value["name"]), str(value["experiment_id"])


def _halves(group: list[Listed]) -> list[list[Listed]]:
    """Return the two halves of some traces; none of one, and none of those that started together."""
    middle = len(group) // 2
    cuts = (*range(middle, len(group)), *range(middle, 0, -1))
    cut = next((c for c in cuts if c and _ms(group[c - 1].start_time) != _ms(group[c].start_time)), None)
    return [group[:cut], group[cut:]] if cut else []


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND
