"""Add the command `kaizen recall`. Imported by kaizen-cli only, whose Typer it needs."""

from __future__ import annotations

from typing import Annotated

import typer


def recall_command(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What the user asks for, in quotes.")],
    tool: Annotated[
        list[str] | None,
        typer.Option("--tool", metavar="NAME", help="A tool that the agent has; may be given several times."),
    ] = None,
    instructions: Annotated[str | None, typer.Option("--instructions", help="The system prompt.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Where the tips are: a store (directory or URL), a file, or an http(s) URL "
            "[env: KAIZEN_RECALL_FROM; default: the configured store]",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="Namespace of the tips [env: KAIZEN_NAMESPACE_ID; default: kaizen]"
        ),
    ] = None,
    with_scores: Annotated[
        bool, typer.Option("--explain", help="With scores, and the tips that are not shown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")] = False,
) -> None:
    """Show the tips that an agent would be given for a task, and why.

    Example: kaizen recall "cancel order 7" --tool cancel_order
    """
    from kaizen.recall.__main__ import main

    options = {"--instructions": instructions, "--from": source, "--namespace": namespace}
    words = [word for name in tool or () for word in ("--tool", name)]
    words += [word for option, value in options.items() if value for word in (option, value)]
    words += [option for option, is_on in (("--explain", with_scores), ("--json", as_json)) if is_on]
    raise typer.Exit(main([*words, "--", task]))
