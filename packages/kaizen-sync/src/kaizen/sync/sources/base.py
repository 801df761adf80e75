"""What a source of traces offers. Sources register under the entry-point group `kaizen.sync.sources`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from kaizen.sync.model import Anchor, Annotation, IndexedTrace, Target, Trace


class Source(Protocol):
    """One project of a system that keeps traces. Methods raise `SourceError`."""

    @property
    def name(self) -> str:
        """The kind of source, such as `phoenix`."""
        ...

    @property
    def project(self) -> str: ...

    @property
    def server_version(self) -> str:
        """As the source tells it; empty where it does not."""
        ...

    @property
    def requests(self) -> int:
        """How many requests were made so far."""
        ...

    def probe(self) -> Anchor | None:
        """The newest row; None where there is no trace."""
        ...

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        """The traces that started in that time, oldest first, with their spans' ids and times.

        A source that cannot tell those without reading all leaves `spans` empty.
        """
        ...

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        """The ids of all traces with rows newer than the anchor, oldest first; None where that is gone."""
        ...

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        """Those traces, whole, in the order given; one that is gone comes without spans."""
        ...

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Where a person can look at the span."""
        ...


@runtime_checkable
class AnnotatedSource(Protocol):
    """A source in which people, code and models say how runs ended."""

    @property
    def requests(self) -> int: ...

    def annotations(self, target: Target, ids: Sequence[str]) -> Mapping[str, Sequence[Annotation]]:
        """What was said of those traces, sessions or spans, by their ids."""
        ...


class ProcessedTrace(Protocol):
    """What a run made of a trace, as far as an annotation tells it."""

    @property
    def trace_id(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def tip_ids(self) -> Sequence[str]: ...


class AnnotatedRun(Protocol):
    """The run that annotates, and how many traces it has annotated or failed to."""

    run_id: str
    namespace_id: str
    annotated: int
    not_annotated: int


class Annotator(Protocol):
    """Writes into a source what became of its traces. Never raises: a sync does not depend on it."""

    def add(self, traces: Iterable[ProcessedTrace], run: AnnotatedRun) -> None:
        """Note committed traces; write them now or when there are more."""
        ...

    def close(self, run: AnnotatedRun) -> None:
        """Write what was noted and not written yet."""
        ...
