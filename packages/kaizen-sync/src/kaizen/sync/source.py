"""What a source of traces offers. Sources register under the entry-point group `kaizen.sync.sources`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.sync.model import IndexedTrace, Trace


class Source(Protocol):
    """One project of a system that keeps traces. Methods raise `SourceError`."""

    @property
    def name(self) -> str:
        """The kind of source, such as `phoenix`."""
        ...

    @property
    def project(self) -> str: ...

    def index(self) -> Iterator[IndexedTrace]:
        """All traces, oldest first, with their spans' ids and times."""
        ...

    def fetch(self, traces: Sequence[IndexedTrace]) -> Iterator[Trace]:
        """Those traces, whole, in the order given; one that is gone is left out."""
        ...

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Where a person can look at the span."""
        ...
