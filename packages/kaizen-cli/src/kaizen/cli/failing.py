"""How a command ends that failed: one line on stderr, JSON on stdout if that was asked for, an exit code."""

from __future__ import annotations

import os
import traceback
from typing import Any

import typer

from kaizen.cli.output import error_json, one_line, print_error, print_error_json

FAILED = 1
UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


def exit_code_of(error: Exception, *, as_json: bool) -> int:
    """Print the error, and return the exit code that goes with it.

    1 for what Kaizen knows (a store, a source, a model, a setting), 2 for a command that is not written as it
    should be, 70 for everything else.
    """
    from kaizen.store import StoreError
    from kaizen.sync import SyncError

    if isinstance(error, StoreError | SyncError):
        print_error(error, as_json=as_json)
        return FAILED
    if isinstance(error, typer.Abort):
        typer.echo("Aborted.", err=True)
        if as_json:
            print_error_json("Aborted", "aborted by the user")
        return FAILED
    if isinstance(error, typer.TyperException):
        return _usage_error(error, as_json=as_json)
    return _unexpected(error, as_json=as_json)


def _usage_error(error: Any, *, as_json: bool) -> int:
    error.show()
    if as_json:
        print_error_json("UsageError", error.format_message())
    return int(error.exit_code)


def _unexpected(error: Exception, *, as_json: bool) -> int:
    said = error_json(error)
    message = f"this is a defect of Kaizen: {said['type']}: {one_line(said['message'])}"
    if _is_debugging():
        traceback.print_exception(error)
    else:
        message += "; set KAIZEN_DEBUG=true for the stack trace"
    typer.echo(f"Error: {message}", err=True)
    if as_json:
        print_error_json(said["type"], message)
    return UNEXPECTED


def _is_debugging() -> bool:
    from kaizen.cli.settings import CliSettings
    from kaizen.store import InvalidInputError

    try:
        return CliSettings.read(os.environ).debug
    except InvalidInputError:
        # Whoever set it wants to see more, and the error at hand matters more than how it is written.
        return True
