"""The protocol of a source of traces, and those of what a source may offer besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from kaizen.store import EnvironmentSettings
    from kaizen.sync.model import Anchor, Annotation, IndexedTrace, Target, Trace


class Source(Protocol):
    """One project of a system that keeps traces. Methods raise `SourceError`."""

    @property
    def name(self) -> str:
        """The name under which the source is registered, such as `phoenix`."""
        ...

    @property
    def project(self) -> str: ...

    @property
    def server_version(self) -> str:
        """The version that the server names; empty if it names none."""
        ...

    @property
    def requests(self) -> int:
        """The number of requests made so far."""
        ...

    def probe(self) -> Anchor | None:
        """Return how far the source has come: the same until something changes; None if it is empty."""
        ...

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        """Yield the traces that started in that time, oldest first, with the ids and times of their spans.

        A source that cannot list spans without reading them whole leaves `spans` empty.
        """
        ...

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        """Return the ids of all traces that are new or have grown since, oldest first.

        None if the source cannot tell, such as after a delete: then all traces are listed.
        """
        ...

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        """Yield those traces, whole, in the order given; one that was deleted comes without spans."""
        ...

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Return the address at which a person can look at the span."""
        ...


class SourceType(Protocol):
    """What is registered under `kaizen.sync.sources`: a class whose docstring is the help of its command.

    `kaizen sync NAME` reads `settings_type` from its options and the environment, and builds the source from
    it. A field is an option if its `json_schema_extra` has an `option`, such as `--url`, and the argument of
    the command if it has an `argument`, such as `PATH`. A source that has to be closed is a context manager.
    """

    @property
    def name(self) -> str: ...

    @property
    def settings_type(self) -> type[EnvironmentSettings]: ...

    def __call__(self, settings: Any, /) -> Source: ...


@runtime_checkable
class ProjectsSource(Protocol):
    """A source that can list its projects: `--all-projects`, if its settings have a `project`."""

    def projects(self) -> Sequence[str]:
        """Return the names of all projects."""
        ...


@runtime_checkable
class SharedSource(Protocol):
    """A source of which one instance gives those of all projects, over the same connections."""

    def for_project(self, project: str) -> Source:
        """Return the source of that project; it is closed with this one."""
        ...

    def admit_requests(self, admit: Callable[[], None]) -> None:
        """Have `admit` called before each request; it may wait."""
        ...


@runtime_checkable
class AnnotatingSource(Protocol):
    """A source into which can be written what became of its traces: `--annotate`."""

    def annotator(self) -> Annotator: ...


@runtime_checkable
class IncompleteSource(Protocol):
    """A source that may hold what cannot be read: that is left out, and said in the report of a sync."""

    @property
    def unread(self) -> Mapping[str, int]:
        """Return what is left out, in words that name an example, and how often."""
        ...


@runtime_checkable
class AnnotatedSource(Protocol):
    """A source whose traces people, code and models annotate."""

    @property
    def requests(self) -> int: ...

    def annotations(self, target: Target, ids: Sequence[str]) -> Mapping[str, Sequence[Annotation]]:
        """Return the annotations of those traces, sessions or spans by their ids."""
        ...


@runtime_checkable
class StoppableSource(Protocol):
    """A source that can be told not to hold up the end of a sync."""

    def stop(self) -> None:
        """End requests soon and try none again; called by signal handlers too."""
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
