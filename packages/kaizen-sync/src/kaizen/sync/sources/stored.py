"""A project as the store keeps it, for learning from it again: a source that has nothing new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from kaizen.sync.model import Anchor, IndexedTrace, Trace


@dataclass(frozen=True, slots=True)
class StoredProject:
    """The name of its source and its own; `url` gives the addresses of spans."""

    name: str
    project: str
    url: Callable[[str, str], str]
    server_version: str = ""
    requests: int = 0

    def span_url(self, trace_id: str, span_id: str) -> str:
        return self.url(trace_id, span_id)

    def probe(self) -> Anchor | None:
        return None

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        return iter(())

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        return {}

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        return iter(())
