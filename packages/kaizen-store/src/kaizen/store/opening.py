"""Open a store: find the backend that the settings name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kaizen.store.errors import InvalidInputError, StoreError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from kaizen.store.contract import Backend, Store
    from kaizen.store.settings import StoreSettings

GROUP = "kaizen.store.backends"

# Looking through the metadata of all that is installed takes up to 100 ms, a fifth of what a command may
# take. So our own backends are known by heart; they are registered like any other all the same.
_KNOWN = {
    "filesystem": "kaizen.store.backends.filesystem.store:FilesystemBackend",
    "postgres": "kaizen.store.backends.postgres:PostgresBackend",
    "sqlite": "kaizen.store.backends.sqlite.store:SqliteBackend",
}


def open_store(settings: StoreSettings) -> Store:
    """Open the store that the settings describe. No other backend is imported.

    Raises `InvalidInputError` for a backend nobody registered, `StoreError` for one that does not import.
    """
    if settings.backend in _KNOWN:
        module, _, name = _KNOWN[settings.backend].partition(":")
        known: Backend = getattr(import_module(module), name)
        return known.open(settings)
    entry_point = _entry_points().get(settings.backend)
    if entry_point is None:
        raise InvalidInputError(
            f"unknown backend {settings.backend!r}: set KAIZEN_BACKEND to one of "
            f"{', '.join(available_backends()) or 'none, since no backend is installed'}"
        )
    return _load(entry_point).open(settings)


def available_backends() -> list[str]:
    """Return the names of the installed backends, without importing any."""
    return sorted(_entry_points())


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry_point.name.lower(): entry_point for entry_point in entry_points(group=GROUP)}


def _load(entry_point: EntryPoint) -> Backend:
    try:
        backend: Backend = entry_point.load()
    except (ImportError, AttributeError) as exc:
        raise StoreError(
            f"backend {entry_point.name!r} does not import ({exc}): "
            f"run pip install {_requirement(entry_point)!r}"
        ) from exc
    return backend


def _requirement(entry_point: EntryPoint) -> str:
    """Return what to install: the distribution, with the extra named like the backend if there is one."""
    distribution = entry_point.dist
    if distribution is None:
        return entry_point.module.partition(".")[0]
    extras = distribution.metadata.get_all("Provides-Extra") or []
    return distribution.name + (f"[{entry_point.name}]" if entry_point.name in extras else "")
