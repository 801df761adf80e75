"""Add the command `kaizen serve`. Imported by kaizen-cli, whose Typer it needs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, NamespaceOption, store_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[
        str | None,
        typer.Option("--host", help="Address to listen on [env: KAIZEN_SERVE_HOST; default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", help="Port to listen on; 0: a free one [env: KAIZEN_SERVE_PORT; default: 8765]"
        ),
    ] = None,
    root_path: Annotated[
        str | None,
        typer.Option("--root-path", help="Path in front, behind a proxy [env: KAIZEN_SERVE_BASE_PATH]"),
    ] = None,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show what was learned, give it to agents, and speak MCP: a page, an API and an MCP server.

    It listens on this machine only, where everybody may read and nobody may change anything. Tokens let
    people decide on tips, and agents of other machines in: `kaizen serve token`.
    """
    if context.invoked_subcommand is not None:
        return
    from kaizen.serve.running import run_server
    from kaizen.serve.settings import ServeSettings

    settings = ServeSettings.read(os.environ, host=host, port=port, base_path=root_path)
    run_server(settings, store_settings(backend, data_dir, namespace))


@app.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it; stands in the history of tips.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="read: see all. write: suggest tips and report outcomes, as agents do. review: decide what "
            "agents are shown. May be given several times.",
        ),
    ] = None,
) -> None:
    """Make a token, and say what to set so that `kaizen serve` takes it.

    The token is shown this once; KAIZEN_SERVE_TOKENS holds its hash only.
    """
    from kaizen.serve.tokens import make_token

    secret, made = make_token(name, frozenset(scope or ["read"]))
    typer.echo(f"Token of {name}: {secret}")
    typer.echo(f"Add to KAIZEN_SERVE_TOKENS: {made.line()}")
