"""What a sync raises, grouped by what the caller does next."""

from __future__ import annotations


class SyncError(Exception):
    """Root of everything that kaizen.sync raises on purpose."""


class SettingsError(SyncError, ValueError):
    """A setting is not acceptable: fix it."""


class SourceError(SyncError):
    """The source cannot be read: unreachable, refusing, or answering what is no answer.

    `is_nothing_there` says that it has nothing at that path, or nothing of what was asked for.
    """

    def __init__(self, message: str, *, is_nothing_there: bool = False) -> None:
        super().__init__(message)
        self.is_nothing_there = is_nothing_there


class ProjectNotFoundError(SourceError, LookupError):
    """The source has no project of that name; `project` and the `available` ones say what it has."""

    def __init__(self, message: str, *, project: str, available: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.project = project
        self.available = available


class UnknownShapeError(SyncError):
    """The spans of a trace hold no conversation that Kaizen understands: skip the trace."""


class RedactionError(SyncError):
    """What must be redacted cannot be found in a trace in time: mend the pattern."""


class ModelError(SyncError):
    """The model gave no usable answer for one trace: a later sync tries again."""


class UnusableAnswerError(ModelError):
    """The model answered, also when asked again, but not with what was asked for."""


class PromptTooLongError(ModelError):
    """The model takes no prompt of that length: give it less."""


class ModelAccessError(ModelError):
    """The model refuses every call (no key, wrong key, no such model): fix the settings."""
