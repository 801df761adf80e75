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
    """A pattern to redact takes too long on a trace: mend the pattern."""


class IncompleteRecordError(SyncError):
    """The record of a trace cannot be read without another one that is gone: have the trace read again."""


class ModelError(SyncError):
    """The model cannot be used, for one trace or for all: its subclasses say what to do."""


class UnusableAnswerError(ModelError):
    """The model's answer about one trace is unusable, also when asked again: count a failure of the trace."""


class ModelRefusalError(UnusableAnswerError):
    """The model or a content filter refuses to answer about one trace: asking again does not help."""


class PromptTooLongError(ModelError):
    """The model takes no prompt of that length: give it less."""


class ModelUnavailableError(ModelError):
    """The model cannot be reached, is overloaded or too slow, which says nothing about a trace: try later."""


class ModelAccessError(ModelError):
    """The model refuses every call (no key, wrong key, no such model): fix the settings."""
