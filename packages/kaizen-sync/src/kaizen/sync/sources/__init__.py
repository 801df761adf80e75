"""What an author of a source of traces needs: the protocols, and the values that they pass.

Public, like `kaizen.sync`; the modules below are private. Names are imported when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.sync.model import (
        Anchor,
        Annotation,
        IndexedSpan,
        IndexedTrace,
        Span,
        SpanEvent,
        Target,
        Trace,
    )
    from kaizen.sync.sources.base import (
        AnnotatedSource,
        AnnotatingSource,
        Annotator,
        IncompleteSource,
        ProjectsSource,
        Source,
        SourceType,
        StoppableSource,
    )
    from kaizen.sync.sources.registry import available_sources, find_source

__all__ = [
    "Anchor",
    "AnnotatedSource",
    "AnnotatingSource",
    "Annotation",
    "Annotator",
    "IncompleteSource",
    "IndexedSpan",
    "IndexedTrace",
    "ProjectsSource",
    "Source",
    "SourceType",
    "Span",
    "SpanEvent",
    "StoppableSource",
    "Target",
    "Trace",
    "available_sources",
    "find_source",
]

_NAMES = {
    "kaizen.sync.model": "Anchor Annotation IndexedSpan IndexedTrace Span SpanEvent Target Trace",
    "kaizen.sync.sources.base": (
        "AnnotatedSource AnnotatingSource Annotator IncompleteSource ProjectsSource Source SourceType "
        "StoppableSource"
    ),
    "kaizen.sync.sources.registry": "available_sources find_source",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
