"""What a sync raises, grouped by what the caller does next."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(slots=True, eq=False)
class Outage:
    """Calls in a row that found a model unavailable, and what the first of them raised.

    `is_up`: it answers other prompts, so that it is these that it fails on.
    """

    calls: int = 0
    error: str = ""
    is_up: bool = False


class ModelUnavailableError(ModelError):
    """The model cannot be reached, is overloaded or too slow, which says nothing about a trace: try later.

    `is_busy` says that it asks to be called less often; `outage` is the one that the call is counted in.
    """

    def __init__(self, message: str, *, is_busy: bool = False) -> None:
        super().__init__(message)
        self.is_busy = is_busy
        self.outage: Outage | None = None


def outage_of(error: ModelError) -> Outage | None:
    """Return the outage that the call is counted in which raised the error; None if it is in none."""
    return error.outage if isinstance(error, ModelUnavailableError) else None


class ModelAccessError(ModelError):
    """The model refuses every call (no key, wrong key, no such model): fix the settings."""
