"""How a fleet is doing: projects, backlog, rates, failures, cost, limits and workers, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kaizen.sync.fleet.accounts import unfinished_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.sync.fleet.database import Database

_RATE_MINUTES = 10
# Workers say that they are there every ten seconds.
_WORKERS = """
SELECT host, pid, version, jobs, started_at, seen_at FROM workers
WHERE seen_at > now() - interval '1 minute' ORDER BY host, pid
"""
_PROJECTS = """
SELECT source, project, namespace,
  coalesce(p.failures, 0) AS failures, coalesce(p.problem, '') AS problem, p.retry_at,
  coalesce(w.traces_today, 0)::bigint AS traces_today, coalesce(w.failed_today, 0)::bigint AS failed_today,
  coalesce(w.calls_today, 0)::bigint AS calls_today, coalesce(w.usd_today, 0) AS usd_today,
  coalesce(w.traces_lately, 0)::bigint AS traces_lately, coalesce(w.calls_lately, 0)::bigint AS calls_lately
FROM projects p FULL JOIN (
  SELECT source, project, namespace, sum(traces) AS traces_today, sum(failed) AS failed_today,
    sum(calls) AS calls_today, sum(usd) AS usd_today,
    sum(traces) FILTER (WHERE minute > now() - make_interval(mins => %(lately)s)) AS traces_lately,
    sum(calls) FILTER (WHERE minute > now() - make_interval(mins => %(lately)s)) AS calls_lately
  FROM work WHERE minute >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
  GROUP BY source, project, namespace
) w USING (source, project, namespace) ORDER BY source, project, namespace
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectInFleet:
    """One project: what waits of it in slices, what was done today (UTC), and why it is left alone."""

    source: str
    project: str
    namespace: str
    backlog_traces: int
    traces_today: int
    failed_today: int
    calls_today: int
    usd_today: float
    failures: int
    problem: str
    retry_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """The fleet as its tables say.

    Rates are those of the last ten minutes. `backlog_minutes` is None if nothing was done in them although
    something waits.
    """

    backlog_traces: int
    backlog_minutes: float | None
    jobs_waiting: int
    traces_per_minute: float
    calls_per_minute: float
    usd_today: float
    usd_per_day: float | None
    limits: Mapping[str, float]
    schedules: Sequence[Mapping[str, Any]]
    workers: Sequence[Mapping[str, Any]]
    projects: Sequence[ProjectInFleet]

    def to_json(self) -> dict[str, Any]:
        """Return the status for programs; its keys are documented in docs/reference/cli.md."""
        return asdict(self)


def read_status(database: Database) -> FleetStatus:
    """Return how the fleet is doing now."""
    jobs = unfinished_jobs(database)
    backlog = Counter[tuple[str, str, str]]()
    for job in jobs:
        for project in job.projects if job.is_slice else ():
            backlog[job.source, project, job.namespace_of(project)] += job.traces
    rows = database.execute(_PROJECTS, {"lately": _RATE_MINUTES})
    traces_per_minute = sum(row["traces_lately"] for row in rows) / _RATE_MINUTES
    budget = database.execute("SELECT usd_per_day FROM budgets")
    return FleetStatus(
        backlog_traces=backlog.total(),
        backlog_minutes=_minutes(backlog.total(), traces_per_minute),
        jobs_waiting=len(jobs),
        traces_per_minute=traces_per_minute,
        calls_per_minute=sum(row["calls_lately"] for row in rows) / _RATE_MINUTES,
        usd_today=round(sum(row["usd_today"] for row in rows), 6),
        usd_per_day=budget[0]["usd_per_day"] if budget else None,
        limits={
            row["name"]: row["per_minute"] for row in database.execute("SELECT * FROM buckets ORDER BY name")
        },
        schedules=_texts(
            database.execute(
                "SELECT name, source, projects, namespace, every_s, next_at, last_at "
                "FROM schedules ORDER BY name"
            )
        ),
        workers=_texts(database.execute(_WORKERS)),
        projects=[_project(row, backlog) for row in rows],
    )


def _minutes(traces: int, per_minute: float) -> float | None:
    if not traces:
        return 0.0
    return round(traces / per_minute, 1) if per_minute else None


def _project(row: Mapping[str, Any], backlog: Counter[tuple[str, str, str]]) -> ProjectInFleet:
    taken = {name: row[name] for name in ProjectInFleet.__dataclass_fields__ if name in row}
    taken["retry_at"] = _text(row["retry_at"])
    key = row["source"], row["project"], row["namespace"]
    return ProjectInFleet(**taken, backlog_traces=backlog[key])


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
