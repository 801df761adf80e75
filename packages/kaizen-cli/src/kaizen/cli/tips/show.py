"""`kaizen tips show`: one tip whole."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.entities import show as entities
from kaizen.cli.tips.derived import for_tips

TipArgument = Annotated[
    list[str], typer.Argument(metavar="ID", help="Id of the tip, or the beginning of it that no other has.")
]

show = for_tips(
    entities.show,
    """Show a tip whole, with its steps and where it came from.

    The newest evidence comes first, five pieces of it without --all, each with the address of its span in
    Phoenix. A tip that is older than its tools says so.
    """,
    written={"words": TipArgument},
)
