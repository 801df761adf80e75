"""Define what a store raises, grouped by what the caller does next."""

from __future__ import annotations


class StoreError(Exception):
    """Root of everything that kaizen.store raises on purpose."""


class InvalidInputError(StoreError, ValueError):
    """An id, a filter or a setting is not acceptable: fix the input."""


class NotFoundError(StoreError, LookupError):
    """The named namespace or entity does not exist.

    `namespace_id` and `entity_id` (None for a missing namespace) say which.
    """

    def __init__(self, message: str, *, namespace_id: str, entity_id: str | None = None) -> None:
        super().__init__(message)
        self.namespace_id = namespace_id
        self.entity_id = entity_id


class ConflictError(StoreError):
    """A precondition of a commit no longer holds: read again, decide again, commit again.

    `entity_ids` names the entities whose revision differs; empty where the namespace's version does.
    """

    def __init__(self, message: str, *, namespace_id: str, entity_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.namespace_id = namespace_id
        self.entity_ids = entity_ids


class CorruptDataError(StoreError):
    """Stored data does not parse. It is kept as it is; `path` and `line` (from 1) say where to look."""

    def __init__(self, message: str, *, path: str, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class UnavailableError(StoreError):
    """The backend cannot be reached, read or written now: mend the cause, then try again."""


def check_schema(where: object, version: int, *, known: int) -> None:
    """Raise `StoreError` if a database has had more migrations than this kaizen-store knows."""
    if version > known:
        raise StoreError(
            f"{where} was written by a newer kaizen-store (schema {version}, this one knows {known}): "
            "upgrade kaizen-store"
        )
