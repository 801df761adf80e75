"""The import hook: calls back when a watched top-level module has just been executed."""

from __future__ import annotations

import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class Finder:
    """Find a watched module through the other finders, and wrap its loader.

    Holds no lock: another thread may own the import lock of a framework while this one imports.
    """

    def __init__(self, watched: Container[str], imported: Callable[[str, ModuleType], None]) -> None:
        self._watched = watched
        self._imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._watched:
            return None
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if isinstance(finder, Finder) or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(fullname, path, target)
            if spec is not None:
                watch(spec, self._imported)
                return spec
        return None

    def invalidate_caches(self) -> None:
        """Nothing is cached here."""


class WatchingLoader:
    """Stand in for a loader until it has executed its module."""

    def __init__(self, loader: Any, imported: Callable[[str, ModuleType], None]) -> None:
        self._loader = loader
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._loader, "create_module", None)
        return create(spec) if create is not None else None

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        # The framework must see its true loader: importlib.resources and reload ask it.
        if spec is not None and spec.loader is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        # An exception here would make the agent's import fail.
        with suppress(Exception):
            self._imported(spec.name if spec is not None else module.__name__, module)


def watch(spec: ModuleSpec, imported: Callable[[str, ModuleType], None]) -> None:
    """Call `imported` once the module of this spec has been executed."""
    loader: Any = spec.loader
    if loader is not None and hasattr(loader, "exec_module") and not isinstance(loader, WatchingLoader):
        spec.loader = WatchingLoader(loader, imported)  # type: ignore[assignment]


def install(finder: Finder) -> None:
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


def remove(finder: Finder) -> None:
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
