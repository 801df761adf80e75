"""Which tips are stale: learned under other versions of their tools than agents are offered now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.sync.state.ledger import Ledger
from kaizen.sync.trajectory.tool_definitions import changed_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen.store import Entity, Store
    from kaizen.sync.trajectory.tool_definitions import ChangedTool, Offered


class Staleness:
    """Compares the tips of a namespace with the newest traces of their projects, each read once.

    What those offered is kept by syncs, so that no trajectory is read.
    """

    def __init__(self, store: Store, namespace_id: str) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._known: dict[tuple[str, str], Mapping[str, Offered]] = {}

    def is_stale(self, tip: Entity) -> bool:
        """Return whether any tool of the tip has changed since it was learned."""
        return bool(self.changed(tip))

    def changed(self, tip: Entity) -> list[ChangedTool]:
        """The tools of the tip that have changed since; none where it is not stale, or nothing is known."""
        found = tip.metadata.get("sources")
        sources = [dict(source) for source in found if _tells(source)] if isinstance(found, list) else []
        for source in sources:
            place = source["source"], source["project"]
            if place not in self._known:
                self._known[place] = Ledger(self._store, self._namespace_id, *place).tools
        return changed_tools(sources, self._known)


def _tells(source: Any) -> bool:
    """Whether a piece of evidence says under which tools it came about; people may have put in anything."""
    return (
        isinstance(source, dict)
        and isinstance(source.get("tools"), dict)
        and isinstance(source.get("source"), str)
        and isinstance(source.get("project"), str)
    )
