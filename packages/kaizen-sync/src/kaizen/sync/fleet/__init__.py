"""Syncs shared by many machines: jobs in the team's PostgreSQL, done by workers. Needs the extra `fleet`.

Who does what and when is decided here, by Procrastinate. That a story is learned once is not: claims and the
one commit per story see to that, so a job that runs twice does no harm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.sync.fleet.database import Database
    from kaizen.sync.fleet.limits import Limits, set_limits
    from kaizen.sync.fleet.schedules import Schedule, remove_schedule, set_schedule
    from kaizen.sync.fleet.status import FleetStatus, read_status
    from kaizen.sync.fleet.worker import Worker, WorkerOptions

__all__ = [
    "Database",
    "FleetStatus",
    "Limits",
    "Schedule",
    "Worker",
    "WorkerOptions",
    "read_status",
    "remove_schedule",
    "set_limits",
    "set_schedule",
]

_NAMES = {
    "database": "Database",
    "limits": "Limits set_limits",
    "schedules": "Schedule remove_schedule set_schedule",
    "status": "FleetStatus read_status",
    "worker": "Worker WorkerOptions",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
