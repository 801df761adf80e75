"""The postgres backend: one schema of one database for all namespaces, for any number of hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store.errors import StoreError

if TYPE_CHECKING:
    from kaizen.store.backends.postgres.store import PostgresStore
    from kaizen.store.settings import StoreSettings


class PostgresBackend:
    """Open postgres stores; the entry point `postgres` names this class."""

    @staticmethod
    def open(settings: StoreSettings) -> PostgresStore:
        """Open the store in the database of `settings.pg_dsn`; nothing is asked of it before it is used.

        Raises `StoreError` where psycopg is missing, `InvalidInputError` for what is no connection string.
        """
        try:
            from kaizen.store.backends.postgres.store import PostgresStore
        except ImportError as exc:
            raise StoreError(
                f"the postgres backend needs psycopg, which does not import ({exc}): "
                "run pip install 'psycopg[binary]'"
            ) from exc
        return PostgresStore(settings.pg_dsn, embedder=settings.embedder)
