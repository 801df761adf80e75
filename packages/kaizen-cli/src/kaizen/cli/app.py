"""The `kaizen` app: which commands there are, and how errors become words and exit codes."""

from __future__ import annotations

import io
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kaizen.cli.__about__ import __version__
from kaizen.cli.lazy import Commands, Group, Other, find_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.cli.env_file import EnvFile


def _find_sources() -> Iterable[Other]:
    from kaizen.cli.sync.sources import find_commands

    return find_commands()


class SourceGroup(Group):
    """The group `sync`: a word that is no command of ours names a source that is installed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            from kaizen.cli.sync.sources import explain_unknown

            raise explain_unknown(args[0], error) from None


GROUPS = (
    SourceGroup("sync", "Turn traces into tips.", "phoenix status retry relearn", find_others=_find_sources),
    Group(
        "tips",
        "Look at tips, search, add, change and review them. Alone it lists them.",
        "list:list_tips show search add edit pin unpin retire review export",
        default="list",
    ),
    Group(
        "proof",
        "See what each tip does, measured by the runs that were not shown it. Alone it lists them.",
        "list:list_effects show export",
        default="list",
    ),
    Group(
        "entities",
        "List, search, change, move and restore tips and all other entities.",
        "list:list_entities show search add delete history revert review consolidate export import_",
    ),
    Group(
        "namespaces",
        "List, create, look at and delete namespaces.",
        "list:list_namespaces create info delete",
    ),
    Group("store", "Copy a store, bring its search index up to date.", "copy reindex"),
    # Where the extra `fleet` of kaizen-sync is installed.
    *(
        [Group("fleet", "Share syncs between many machines.", "worker schedule status")]
        if find_spec("procrastinate")
        else []
    ),
)


class _Root(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        groups = {str(group.name): group for group in GROUPS}
        self.commands = Commands({**groups, "doctor": "kaizen.cli.doctor:doctor"}, find_others=find_plugins)


app = typer.Typer(
    name="kaizen",
    cls=_Root,
    help="Make the next run of your agents better than the last: turn their traces into tips.",
    epilog="New here? `kaizen doctor` checks your set-up, `kaizen tips` shows what was learned, and "
    "`kaizen demo`, where the package kaizen-demo is installed, shows the whole loop.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show a Python stack trace with an error that Kaizen did not expect [env: KAIZEN_DEBUG]",
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show versions and exit."),
    ] = False,
) -> None:
    if debug:
        # The error is caught outside of Typer, where no option is left.
        os.environ["KAIZEN_DEBUG"] = "true"
    env_file: EnvFile | None = context.obj
    # `kaizen doctor` says it among its checks.
    if env_file is not None and env_file.ignored and context.invoked_subcommand != "doctor":
        typer.echo(f"Note: of {env_file.path}, {env_file.described_ignored()}", err=True)
    if verbose:
        import logging

        logging.basicConfig(
            stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING
        )
        logging.getLogger("kaizen").setLevel(logging.DEBUG if verbose > 1 else logging.INFO)


def _asks_for_help(arguments: list[str]) -> bool:
    return not arguments or not {"--help", "-h", "--version"}.isdisjoint(arguments)


def main() -> None:
    """Run the app. Every error becomes a line on stderr, JSON on stdout under `--json`, and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets its code, not a stack trace.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Help must come whatever `.env` holds, and quickly.
        env_file = None if _asks_for_help(sys.argv[1:]) else _load_env_file()
        # Left alone, Typer would print errors by itself, and nothing as JSON.
        sys.exit(app(prog_name="kaizen", standalone_mode=False, obj=env_file))
    except BrokenPipeError:
        # Whoever read our output has read enough (`kaizen tips | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - a stack trace is shown only to those who ask for it
        from kaizen.cli.failing import exit_code_of

        sys.exit(exit_code_of(error, as_json="--json" in sys.argv[1:]))


def _load_env_file() -> EnvFile | None:
    if not os.path.lexists(".env"):
        return None
    from kaizen.cli.env_file import load_env_file

    return load_env_file()
