"""`kaizen tips export`: the active tips as Markdown."""

from __future__ import annotations

from kaizen.cli.entities import export as entities
from kaizen.cli.tips.derived import for_tips

export = for_tips(
    entities.export,
    """Export the active tips as Markdown, by category.

    For people, and for instruction files of agents (AGENTS.md). Tips in quarantine are left out; --where
    chooses among the others. A file is written whole or not at all.
    """,
    fixed={"format_": "markdown"},
)
