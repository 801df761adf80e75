"""`kaizen sync phoenix`: read traces of Phoenix and turn them into tips."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kaizen.cli.options import UrlOption  # noqa: TC001 - Typer reads it
from kaizen.cli.sync.syncing import Projects, add_sync_options, choose_projects


@add_sync_options
def phoenix(
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            help="Phoenix project; may be given several times "
            "[env: KAIZEN_TRACING_PROJECT; default: kaizen-agent]",
            show_default=False,
        ),
    ] = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="Every project that the server has, one after another.")
    ] = False,
    url: UrlOption = None,
    annotate: Annotated[
        bool,
        typer.Option(
            "--annotate",
            help="Write into Phoenix what became of each trace.",
        ),
    ] = False,
) -> Projects:
    """Read the traces of a Phoenix project and store what they teach.

    Run it as often as you like: a trace is processed once, and again only if it has grown. The exit code is 1
    if any trace failed, the model refused or was unavailable, or the run was stopped; the next sync tries
    again.

    Example: kaizen sync phoenix --project test-agent --include-errors
    """
    from kaizen.sync import PhoenixSettings, PhoenixSource

    server = PhoenixSettings.from_environ(os.environ, url=url)
    return choose_projects(PhoenixSource, server, project, all_projects=all_projects, annotate=annotate)
