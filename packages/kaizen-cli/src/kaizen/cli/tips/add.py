"""`kaizen tips add`: a tip written by a person."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.entities import add as entities
from kaizen.cli.tips.derived import for_tips

TextArgument = Annotated[
    str, typer.Argument(metavar="TEXT", help="What the tip says; - reads it from standard input.")
]

add = for_tips(
    entities.add,
    """Add a tip that you know to be good.

    Example: kaizen tips add "Read an order before you cancel it." --step "Call get_order."
    """,
    written={"content": TextArgument},
)
