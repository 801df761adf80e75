"""The sources that are installed, ours and others', found by name through their entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from kaizen.sync.errors import SettingsError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen.sync.sources.base import Source

GROUP = "kaizen.sync.sources"

# Reading the metadata of all that is installed takes up to 100 ms. So our own source, which is registered
# like any other, is known by heart.
_BUILT_IN = {"phoenix": "kaizen.sync.sources.phoenix.source:PhoenixSource"}


def find_source(name: str) -> Callable[..., Source]:
    """Return the class of a source by the name it is registered under; no other source is imported.

    Raises `SettingsError` for a name that nobody registered, `SourceError` for a source that does not import.
    """
    location = _BUILT_IN.get(name) or _registered().get(name)
    if location is None:
        raise SettingsError(f"unknown source '{name}'; installed are: {', '.join(available_sources())}")
    module, _, attribute = location.partition(":")
    try:
        source: Callable[..., Source] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"source '{name}' does not import ({error}); install {module} again") from error
    return source


def available_sources() -> list[str]:
    """Return the names of the installed sources, none of them imported."""
    return sorted({*_BUILT_IN, *_registered()})


def _registered() -> dict[str, str]:
    return {entry_point.name: entry_point.value for entry_point in entry_points(group=GROUP)}
