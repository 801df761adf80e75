"""The `kaizen` app: its command groups, and the one place where errors become words and exit codes."""

from __future__ import annotations

import io
import logging
import os
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from kaizen.cli import doctor, entities, namespaces, store, sync
from kaizen.cli.__about__ import __version__
from kaizen.cli.entities import consolidate, history, review, search, transfer
from kaizen.cli.output import print_error, print_error_json, print_note
from kaizen.cli.settings import EnvFile, load_env_file
from kaizen.store import StoreError
from kaizen.sync import SyncError

app = typer.Typer(
    name="kaizen",
    help="Make the next run of your agents better than the last: turn their traces into tips.",
    epilog="New here? `kaizen demo` shows the whole loop, `kaizen doctor` checks your set-up.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sync.app, name="sync")
app.add_typer(entities.app, name="entities")
app.add_typer(namespaces.app, name="namespaces")
app.add_typer(store.app, name="store")
entities.app.command("search")(search.search)
entities.app.command("history")(history.history)
entities.app.command("revert")(history.revert)
entities.app.command("review")(review.review)
entities.app.command("consolidate")(consolidate.consolidate)
entities.app.command("export")(transfer.export)
entities.app.command("import")(transfer.import_)
app.command("doctor")(doctor.doctor)
for _command in entry_points(group="kaizen.cli.commands"):
    app.command(_command.name)(_command.load())


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        parts = ", ".join(f"{name} {version(name)}" for name in ("kaizen-store", "kaizen-sync"))
        typer.echo(f"kaizen {__version__} ({parts})")
        raise typer.Exit


@app.callback()
def _kaizen(
    context: typer.Context,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more on stderr; twice for details.")
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show versions and exit."),
    ] = False,
) -> None:
    env_file: EnvFile | None = context.obj
    # `kaizen doctor` says it among its checks.
    if env_file is not None and env_file.ignored and context.invoked_subcommand != "doctor":
        print_note(f"Note: of {env_file.path}, {env_file.described_ignored()}")
    if verbose:
        logging.basicConfig(
            stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING
        )
        logging.getLogger("kaizen").setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


def _asks_for_help(arguments: list[str]) -> bool:
    return not arguments or not {"--help", "-h", "--version"}.isdisjoint(arguments)


def main() -> None:
    """Run the app; every error we know becomes one line on stderr, JSON for programs, and an exit code."""
    as_json = "--json" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets its code, not a stack trace.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Help must come whatever `.env` holds, and quickly.
        env_file = None if _asks_for_help(sys.argv[1:]) else load_env_file()
        sys.exit(app(prog_name="kaizen", standalone_mode=False, obj=env_file))
    except (StoreError, SyncError) as error:
        print_error(error, as_json=as_json)
        sys.exit(1)
    except typer.TyperException as error:
        error.show()  # type: ignore[attr-defined]  # all that Typer raises can
        if as_json:
            print_error_json("UsageError", error.format_message())
        sys.exit(error.exit_code)
    except typer.Abort:
        typer.echo("Aborted.", err=True)
        if as_json:
            print_error_json("Aborted", "aborted by the user")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has read enough (`kaizen entities list | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
