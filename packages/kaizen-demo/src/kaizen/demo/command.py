"""Add the command `kaizen demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    phoenix: Annotated[
        Path | None,
        typer.Option(
            "--phoenix",
            envvar="KAIZEN_DEMO_PHOENIX",
            help="The `phoenix` program, best in an environment of its own.",
            show_default="the one on PATH",
        ),
    ] = None,
    agent_python: Annotated[
        Path | None,
        typer.Option(
            "--agent-python",
            envvar="KAIZEN_DEMO_AGENT_PYTHON",
            help="Python whose environment has kaizen-auto and the agent frameworks.",
            show_default="this one",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Measure tips too, and serve the page that shows all that was learned until Ctrl-C.",
        ),
    ] = False,
) -> None:
    """Show the whole loop on four real agents.

    Traces them into a real Phoenix and turns the traces into tips, on this machine and in a directory that
    is thrown away at the end. Needs no key and no account: unless OPENAI_API_KEY or KAIZEN_TIPS_MODEL is
    set, a scripted model answers the agents, and the tips are mined without a model.
    """
    from kaizen.demo.loop import run_demo

    run_demo(phoenix, agent_python, keep=keep)
