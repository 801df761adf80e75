"""Find stale tips: learned under other versions of their tools than agents are offered now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.tool_definitions import changed_tools
from kaizen.tips.reading import read_tip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kaizen.store import Entity
    from kaizen.sync.trajectory.tool_definitions import ChangedTool, Offered
    from kaizen.tips.evidence import StoredSource
    from kaizen.tips.tip import StoredTip


class Staleness:
    """Compare tips with the tools that the newest traces of their projects offered."""

    def __init__(
        self,
        read_tools: Callable[[str, str], Mapping[str, Offered]],
        read_evidence: Callable[[StoredTip], Iterable[StoredSource]],
    ) -> None:
        """`read_tools` returns what the agents of a source and project were offered last, by tool.

        `read_evidence` returns all that backs a tip.
        """
        self._read_tools = read_tools
        self._read_evidence = read_evidence
        self._known: dict[tuple[str, str], Mapping[str, Offered]] = {}

    def is_stale(self, tip: Entity) -> bool:
        """Return whether any tool of the tip has changed since it was learned."""
        return bool(self.changed(tip))

    def changed(self, entity: Entity) -> list[ChangedTool]:
        """Return the tools of the tip that have changed since; none if it is not stale, or not valid."""
        tip = read_tip(entity)
        if tip is None or not self._changed(tip.sources):
            return []
        # Older evidence may know the version that is offered now: a tool may be set back.
        return self._changed(stored.source.to_json() for stored in self._read_evidence(tip))

    def _changed(self, sources: Iterable[Mapping[str, Any]]) -> list[ChangedTool]:
        about = [source for source in sources if all(map(source.get, ("tools", "source", "project")))]
        for place in {(source["source"], source["project"]) for source in about} - self._known.keys():
            self._known[place] = self._read_tools(*place)
        return changed_tools(about, self._known)
