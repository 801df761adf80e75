"""The import hook: calls back when a watched module has just been executed. kaizen.recall uses it too."""

from __future__ import annotations

import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class Finder:
    """Find a watched module through the finders behind this one, and wrap its loader.

    Holds no lock: another thread may own the import lock of a framework while this one imports.
    """

    def __init__(self, watched: Collection[str], imported: Callable[[str, ModuleType], None]) -> None:
        self._watched = watched
        self._imported = imported

    def start(self, adopt: Callable[[str, ModuleType], None]) -> None:
        """Watch from now on; `adopt` is called for modules that have been executed already."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        for name in self._watched:
            module = sys.modules.get(name)
            if module is not None:
                self._adopt(name, module, adopt)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def _adopt(self, name: str, module: ModuleType, adopt: Callable[[str, ModuleType], None]) -> None:
        """Call back for a module that is there already: now, or when it has been executed."""
        spec = object.__getattribute__(module, "__dict__").get("__spec__")
        if type(module).__name__ == "_LazyModule":
            if spec is not None:
                watch(spec, self._imported)
        elif getattr(spec, "_initializing", False):
            from kaizen.auto import late

            late.wait_for(module, lambda: self._imported(name, module))
        else:
            adopt(name, module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._watched:
            return None
        finders = list(sys.meta_path)
        # Those before it have been asked, and one of them may be asking this one.
        for finder in finders[finders.index(self) + 1 :] if self in finders else ():
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is None:
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
        self.imported = imported

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
            self.imported(spec.name if spec is not None else module.__name__, module)


def watch(spec: ModuleSpec, imported: Callable[[str, ModuleType], None]) -> None:
    """Call `imported` once the module of this spec has been executed."""
    loader: Any = spec.loader
    is_watched = isinstance(loader, WatchingLoader) and loader.imported == imported
    if loader is not None and hasattr(loader, "exec_module") and not is_watched:
        spec.loader = WatchingLoader(loader, imported)  # type: ignore[assignment]
