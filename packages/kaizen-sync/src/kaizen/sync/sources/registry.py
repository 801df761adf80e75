"""The sources that are installed, ours and others', found by name through their entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from kaizen.sync.errors import SettingsError, SourceError

if TYPE_CHECKING:
    from kaizen.sync.sources.base import SourceType

GROUP = "kaizen.sync.sources"

# Reading the metadata of all that is installed takes up to 100 ms. So our own sources, which are registered
# like any other, are known by heart.
_BUILT_IN = {
    "claude-code": "kaizen.sync.sources.claude_code.source:ClaudeCodeSource",
    "codex": "kaizen.sync.sources.codex.source:CodexSource",
    "files": "kaizen.sync.sources.files.source:FilesSource",
    "langfuse": "kaizen.sync.sources.langfuse.source:LangfuseSource",
    "mlflow": "kaizen.sync.sources.mlflow.source:MlflowSource",
    "phoenix": "kaizen.sync.sources.phoenix.source:PhoenixSource",
}


def find_source(name: str) -> SourceType:
    """Return the class of a source by the name it is registered under; no other source is imported.

    Raises `SettingsError` for a name that nobody registered, `SourceError` for a source that does not import.
    """
    location = _BUILT_IN.get(name) or _registered().get(name)
    if location is None:
        raise SettingsError(
            f"unknown source '{name}'; installed are: {', '.join(available_sources())}. Another one comes "
            f"with the package that registers it under '{GROUP}': install that beside kaizen-sync"
        )
    module, _, attribute = location.partition(":")
    try:
        source: SourceType = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        what = f"kaizen-sync[{name}]" if name in _BUILT_IN else module
        raise SourceError(f"source '{name}' does not import ({error}); install {what}") from error
    return source


def available_sources() -> list[str]:
    """Return the names of the installed sources, none of them imported."""
    return sorted({*_BUILT_IN, *_registered()})


def _registered() -> dict[str, str]:
    return {entry_point.name: entry_point.value for entry_point in entry_points(group=GROUP)}
