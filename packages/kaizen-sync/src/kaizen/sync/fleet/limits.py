"""Limits that hold for all workers together, kept in PostgreSQL: so many a minute, so many dollars a day."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen.sync.fleet.database import Database

CALLS = "model calls"
_LOOK_AGAIN_S = 10.0

# A token bucket of one second. Taking more than there is leaves a debt, which says how long to wait; so each
# caller has its place, and the rate is kept whoever calls. The row's lock puts callers into order, and the
# clock is read after it was taken.
_TAKE = """
UPDATE buckets SET at = greatest(at, clock_timestamp()), tokens = -1 + least(
  greatest(1, per_minute / 60),
  tokens + per_minute / 60 * extract(epoch FROM greatest(at, clock_timestamp()) - at))
WHERE name = %(name)s RETURNING -tokens * 60 / per_minute AS wait_s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What `set_limits` keeps; None leaves a limit as it is, and 0 removes it.

    `requests_per_minute` holds for each server that traces are read from.
    """

    calls_per_minute: float | None = None
    usd_per_day: float | None = None
    requests_per_minute: float | None = None


def set_limits(database: Database, limits: Limits, source: str) -> None:
    """Keep the limits; those on requests are for that source."""
    for name, per_minute in (
        (CALLS, limits.calls_per_minute),
        (requests_to(source), limits.requests_per_minute),
    ):
        if per_minute == 0:
            database.execute("DELETE FROM buckets WHERE name = %(name)s", {"name": name})
        elif per_minute is not None:
            database.execute(
                "INSERT INTO buckets VALUES (%(name)s, %(per_minute)s, 0) "
                "ON CONFLICT (name) DO UPDATE SET per_minute = excluded.per_minute",
                {"name": name, "per_minute": per_minute},
            )
    if limits.usd_per_day == 0:
        database.execute("DELETE FROM budgets")
    elif limits.usd_per_day is not None:
        database.execute(
            "INSERT INTO budgets VALUES ('all', %(usd)s) "
            "ON CONFLICT (name) DO UPDATE SET usd_per_day = excluded.usd_per_day",
            {"usd": limits.usd_per_day},
        )


def requests_to(source: str) -> str:
    """Return the name of the limit on requests to that source."""
    return f"requests to {source}"


class Throttle:
    """One limit as a worker keeps it: `wait` returns when the next may be made. Safe for threads."""

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._name = name
        self._wait = wait
        self._clock = clock
        self._unlimited_until = 0.0

    def wait(self) -> None:
        """Take one, and wait until its turn comes; at once if there is no limit."""
        # That there is no limit is asked once in a while, and not for each call.
        if self._clock() < self._unlimited_until:
            return
        rows = self._database.execute(_TAKE, {"name": self._name})
        if not rows:
            self._unlimited_until = self._clock() + _LOOK_AGAIN_S
        elif rows[0]["wait_s"] > 0:
            self._wait(rows[0]["wait_s"])


class DailyBudget:
    """What the fleet may spend today (UTC), looked up every few seconds. Safe for threads."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_up_at = -float("inf")
        self._limit_usd: float | None = None
        self._spent_usd = 0.0

    def used_up(self, unreported_usd: float = 0.0) -> str:
        """Return why no call may be made; empty while it may. `unreported_usd` is not in the tables yet."""
        with self._lock:
            if self._clock() - self._looked_up_at > 1.0:
                rows = self._database.execute(
                    "SELECT usd_per_day, (SELECT coalesce(sum(usd), 0) FROM work WHERE minute >= "
                    "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') AS spent FROM budgets"
                )
                self._limit_usd = rows[0]["usd_per_day"] if rows else None
                self._spent_usd = rows[0]["spent"] if rows else 0.0
                self._looked_up_at = self._clock()
            if self._limit_usd is None or self._spent_usd + unreported_usd < self._limit_usd:
                return ""
            return f"the fleet has spent its {self._limit_usd:g} USD of today; it goes on at 00:00 UTC"
