"""Find stale tips: learned under other versions of their tools than agents are offered now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trajectory.tool_definitions import changed_tools
from kaizen.tips.reading import read_tip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen.store import Entity
    from kaizen.sync.trajectory.tool_definitions import ChangedTool, Offered


class Staleness:
    """Compare tips with the tools that the newest traces of their projects offered."""

    def __init__(self, read_tools: Callable[[str, str], Mapping[str, Offered]]) -> None:
        """`read_tools` returns what the agents of a source and project were offered last, by tool."""
        self._read_tools = read_tools
        self._known: dict[tuple[str, str], Mapping[str, Offered]] = {}

    def is_stale(self, tip: Entity) -> bool:
        """Return whether any tool of the tip has changed since it was learned."""
        return bool(self.changed(tip))

    def changed(self, entity: Entity) -> list[ChangedTool]:
        """Return the tools of the tip that have changed since; none if it is not stale, or not valid."""
        tip = read_tip(entity)
        sources = [s for s in tip.sources if all(map(s.get, ("tools", "source", "project")))] if tip else []
        for place in {(source["source"], source["project"]) for source in sources} - self._known.keys():
            self._known[place] = self._read_tools(*place)
        return changed_tools(sources, self._known)
