"""What is synced how often, kept in the fleet's tables: any number of workers see to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kaizen.sync.fleet.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Sync `projects` of a source (none named: all it has) every so many seconds into a namespace.

    `{project}` in `namespace` stands for the name of the project. `options` go to `SyncSettings` and
    `ModelSettings`, and hold no secrets: workers have those in their environments.
    """

    name: str
    source: str = "phoenix"
    projects: Sequence[str] = ()
    namespace: str = "kaizen"
    every_s: float = 300.0
    options: Mapping[str, Any] = field(default_factory=dict)


def set_schedule(database: Database, schedule: Schedule) -> bool:
    """Keep a schedule and have its next round begin at once; return whether there was none of that name.

    To set it again changes it, and makes no second one.
    """
    rows = database.execute(
        "INSERT INTO schedules (name, source, projects, namespace, options, every_s) VALUES "
        "(%(name)s, %(source)s, %(projects)s, %(namespace)s, %(options)s, %(every_s)s) ON CONFLICT (name) DO "
        "UPDATE SET source = excluded.source, projects = excluded.projects, namespace = excluded.namespace, "
        "options = excluded.options, every_s = excluded.every_s, next_at = now() "
        "RETURNING xmax = 0 AS is_new",
        {
            "name": schedule.name,
            "source": schedule.source,
            "projects": json.dumps(list(schedule.projects)),
            "namespace": schedule.namespace,
            "options": json.dumps(dict(schedule.options)),
            "every_s": schedule.every_s,
        },
    )
    return bool(rows[0]["is_new"])


def remove_schedule(database: Database, name: str) -> bool:
    """Forget a schedule; return whether there was one."""
    return bool(
        database.execute("DELETE FROM schedules WHERE name = %(name)s RETURNING name", {"name": name})
    )


def take_due(database: Database) -> list[Schedule]:
    """Return the schedules whose next round is due, each to one worker only."""
    rows = database.execute(
        "UPDATE schedules SET last_at = now(), next_at = now() + make_interval(secs => every_s) "
        "WHERE next_at <= now() RETURNING name, source, projects, namespace, options, every_s"
    )
    return [Schedule(**row) for row in rows]
