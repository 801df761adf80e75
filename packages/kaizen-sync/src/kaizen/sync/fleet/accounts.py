"""What workers did, minute by minute, and what became of projects: the tables that `status` reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kaizen.sync.fleet.jobs import Job, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Collection

    from kaizen.sync.fleet.database import Database
    from kaizen.sync.state.report import Report

_FLUSH_EVERY_S = 2.0
_COUNTED = ("traces", "failed", "calls", "usd", "requests")
_ADD = """
INSERT INTO work VALUES (date_trunc('minute', now()), %(source)s, %(project)s, %(namespace)s,
  %(traces)s, %(failed)s, %(calls)s, %(usd)s, %(requests)s)
ON CONFLICT (minute, source, project, namespace) DO UPDATE SET
  traces = work.traces + excluded.traces, failed = work.failed + excluded.failed,
  calls = work.calls + excluded.calls, usd = work.usd + excluded.usd,
  requests = work.requests + excluded.requests
"""


class Account:
    """Adds what one run does to the fleet's tables while it goes on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told = dict.fromkeys(_COUNTED, 0.0)
        self._flushed_at = time.monotonic()

    def update(self, report: Report) -> None:
        """Add what is new, unless that was done just now."""
        if time.monotonic() - self._flushed_at > _FLUSH_EVERY_S:
            self.flush(report)

    def flush(self, report: Report) -> None:
        counts = {
            "traces": report.processed.total(),
            "failed": report.processed["failed"],
            "calls": report.model_calls,
            "usd": report.cost_usd or 0.0,
            "requests": report.requests,
        }
        more = {name: counts[name] - self._told[name] for name in _COUNTED}
        self._told, self._flushed_at = counts, time.monotonic()
        if any(more.values()):
            key = {"source": report.source, "project": report.project, "namespace": report.namespace_id}
            self._database.execute(_ADD, {**key, **more})


def note_result(database: Database, job: Job, project: str, problem: str) -> None:
    """Keep whether a project could be synced; one that could not is left alone, twice as long each time."""
    key = {"source": job.source, "project": project, "namespace": job.namespace_of(project)}
    rows = database.execute(
        "INSERT INTO projects (source, project, namespace, failures, problem) VALUES "
        "(%(source)s, %(project)s, %(namespace)s, %(failed)s, %(problem)s) "
        "ON CONFLICT (source, project, namespace) DO UPDATE SET problem = excluded.problem, "
        "failures = CASE excluded.failures WHEN 0 THEN 0 ELSE projects.failures + 1 END, "
        "updated_at = now() RETURNING failures",
        {**key, "failed": int(bool(problem)), "problem": problem[:500]},
    )
    wait_s = retry_after_s(rows[0]["failures"], job.every_s)
    database.execute(
        "UPDATE projects SET retry_at = CASE %(wait)s::float WHEN 0 THEN NULL "
        "ELSE now() + make_interval(secs => %(wait)s) END "
        "WHERE (source, project, namespace) = (%(source)s, %(project)s, %(namespace)s)",
        {**key, "wait": wait_s},
    )


def left_alone(database: Database, source: str) -> Collection[tuple[str, str]]:
    """Return project and namespace of those of a source that failed just now."""
    rows = database.execute(
        "SELECT project, namespace FROM projects WHERE source = %(source)s AND retry_at > now()",
        {"source": source},
    )
    return {(row["project"], row["namespace"]) for row in rows}


def unfinished_jobs(database: Database) -> list[Job]:
    """Return the jobs that wait or are being done."""
    rows = database.execute(
        "SELECT args FROM procrastinate_jobs WHERE task_name = 'sync' AND status IN ('todo', 'doing')"
    )
    return [Job.of_json(row["args"]) for row in rows]


def note_worker(database: Database, *, id: str, host: str, pid: int, version: str, jobs: int) -> None:
    """Say that a worker is there; forget those that were not for a day."""
    database.execute(
        "INSERT INTO workers (id, host, pid, version, jobs) VALUES "
        "(%(id)s, %(host)s, %(pid)s, %(version)s, %(jobs)s) "
        "ON CONFLICT (id) DO UPDATE SET seen_at = now(), jobs = excluded.jobs",
        {"id": id, "host": host, "pid": pid, "version": version, "jobs": jobs},
    )
    database.execute("DELETE FROM workers WHERE seen_at < now() - interval '1 day'")


def forget_worker(database: Database, id: str) -> None:
    database.execute("DELETE FROM workers WHERE id = %(id)s", {"id": id})
