"""`kaizen tips search`: the tips that fit a task."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.entities import search as entities
from kaizen.cli.tips.derived import for_tips

QueryArgument = Annotated[
    list[str], typer.Argument(metavar="QUERY", help="A task in plain words, or some words, in quotes.")
]

search = for_tips(
    entities.search,
    """Find the tips that fit a task best, by its words and by its meaning, best first.

    WORDS is the score of the words (- without a word in common), MEANING how alike the meanings are (at most
    1; - if not known); both together give the order. What fits neither by its words nor by its meaning is not
    found.

    Example: kaizen tips search "cancel an order"
    """,
    fixed={"all_types": False},
    written={"words": QueryArgument},
)
