"""`kaizen fleet status`: how the fleet is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.cli.drawing import print_table, print_text
from kaizen.cli.options import BackendOption, JsonOption, store_settings
from kaizen.cli.output import one_line, print_json, print_note
from kaizen.cli.times import local_time

if TYPE_CHECKING:
    from kaizen.sync.fleet import FleetStatus


def status(backend: BackendOption = None, json: JsonOption = False) -> None:
    """Show workers, projects, what waits and for how long, rates, failures and what today has cost."""
    from kaizen.sync.fleet import Database, read_status

    database = Database.of_store(store_settings(backend, None, None))
    database.prepare()
    found = read_status(database)
    if json:
        print_json(found.to_json())
        return
    if not found.schedules:
        print_note("Nothing is scheduled: kaizen fleet schedule --every 5m --all-projects")
    print_text(_summary(found))
    print_text("")
    print_table(
        ["WORKER", "VERSION", "JOBS", "SINCE"],
        [
            [f"{one['host']}:{one['pid']}", one["version"], str(one["jobs"]), local_time(one["started_at"])]
            for one in found.workers
        ],
    )
    print_text("")
    print_table(
        ["PROJECT", "WAITING", "TODAY", "FAILED", "USD", "PROBLEM"],
        [
            [
                one.project,
                str(one.backlog_traces),
                str(one.traces_today),
                str(one.failed_today),
                f"{one.usd_today:.4f}",
                one_line(one.problem),
            ]
            for one in found.projects
        ],
    )


def _summary(found: FleetStatus) -> str:
    minutes = "unknown" if found.backlog_minutes is None else f"{found.backlog_minutes:g}"
    of_day = "" if found.usd_per_day is None else f" of {found.usd_per_day:g}"
    limits = "".join(f"; at most {limit:g} {name} a minute" for name, limit in found.limits.items())
    return (
        f"{found.backlog_traces:,} traces wait ({minutes} minutes), {found.traces_per_minute:.1f} traces and "
        f"{found.calls_per_minute:.1f} model calls a minute, {found.usd_today:.4f}{of_day} USD today{limits}"
    )
