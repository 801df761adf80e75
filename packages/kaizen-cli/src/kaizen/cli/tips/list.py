"""`kaizen tips list`, or only `kaizen tips`."""

from __future__ import annotations

from kaizen.cli.entities.list import list_entities
from kaizen.cli.tips.derived import for_tips

list_tips = for_tips(
    list_entities,
    """List the tips, oldest first.

    Long tips are cut: `kaizen tips show` has them whole.
    """,
    fixed={"all_types": False},
)
