"""Keep the planner's statistics up to date for writers who add very much at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kaizen.store.backends.postgres.schema import OF_NAMESPACE
from kaizen.store.errors import StoreError

if TYPE_CHECKING:
    import psycopg

    from kaizen.store.backends.postgres.connections import Connections

_log = logging.getLogger(__name__)

# Fewer rows than this change no plan for the worse.
_MUCH = 500
_PART = 0.5


class Statistics:
    """Have tables analyzed that grew by half through one store.

    Autovacuum does so by itself a minute later; until then, what was imported would be read by the plans that
    suit small tables, 10 to 100 times as slow.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._written = 0
        self._wait_for = _MUCH

    def note(self, rows: int) -> None:
        """Count states or vectors that were written; log what goes wrong here, which concerns no writer."""
        self._written += rows
        if self._written < self._wait_for:
            return
        try:
            known = self._connections.read(
                lambda connection: connection.execute(
                    "SELECT reltuples FROM pg_class WHERE oid = 'kaizen.states'::regclass"
                ).fetchone()
            )
            part = _PART * max(known[0] if known else 0, 0)
            if self._written >= part:
                self._connections.read(_analyze)
                self._written, part = 0, 0
            self._wait_for = max(_MUCH, int(part))
        except StoreError as error:
            _log.info("The tables were not analyzed: %s", error)


def _analyze(connection: psycopg.Connection) -> None:
    for table in OF_NAMESPACE:
        connection.execute(f"ANALYZE kaizen.{table}")
