"""Keep what agents learned: entities in namespaces, changed by atomic commits.

What this package exports is for callers, `kaizen.store.backend` for authors of a backend, and
`kaizen.store.testing` holds the tests of both. All else is private: it may change in any release. Importing
this package loads nothing else; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.store.contract import Backend, Exclusive, Reindexable, Store
    from kaizen.store.embedders import Embedder, load_embedder
    from kaizen.store.errors import (
        ConflictError,
        CorruptDataError,
        InvalidInputError,
        NotFoundError,
        StoreError,
        UnavailableError,
    )
    from kaizen.store.history.reverting import (
        RevertPlan,
        apply_revert,
        as_change,
        is_same_state,
        plan_revert,
        read_commits,
        revert,
    )
    from kaizen.store.history.transfer import (
        TransferResult,
        copy_namespace,
        export_lines,
        import_lines,
        merge_entities,
        namespace_digest,
        read_entities,
    )
    from kaizen.store.ids import uuid7
    from kaizen.store.model import (
        Applied,
        Change,
        Commit,
        Delete,
        Entity,
        Expected,
        JsonValue,
        Metadata,
        Namespace,
        Page,
        Put,
        SearchHit,
    )
    from kaizen.store.opening import available_backends, open_store
    from kaizen.store.selecting import Where, find_entity, read_page, read_pages, search_page
    from kaizen.store.settings import EnvironmentSettings, StoreSettings

_NAMES = {
    "contract": "Backend Exclusive Reindexable Store",
    "embedders": "Embedder load_embedder",
    "errors": "ConflictError CorruptDataError InvalidInputError NotFoundError StoreError UnavailableError",
    "history.reverting": "RevertPlan apply_revert as_change is_same_state plan_revert read_commits revert",
    "history.transfer": "TransferResult copy_namespace export_lines import_lines "
    "merge_entities namespace_digest read_entities",
    "ids": "uuid7",
    "selecting": "Where find_entity read_page read_pages search_page",
    "model": "Applied Change Commit Delete Entity Expected JsonValue Metadata Namespace Page Put SearchHit",
    "opening": "available_backends open_store",
    "settings": "EnvironmentSettings StoreSettings",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Applied",
    "Backend",
    "Change",
    "Commit",
    "ConflictError",
    "CorruptDataError",
    "Delete",
    "Embedder",
    "Entity",
    "EnvironmentSettings",
    "Exclusive",
    "Expected",
    "InvalidInputError",
    "JsonValue",
    "Metadata",
    "Namespace",
    "NotFoundError",
    "Page",
    "Put",
    "Reindexable",
    "RevertPlan",
    "SearchHit",
    "Store",
    "StoreError",
    "StoreSettings",
    "TransferResult",
    "UnavailableError",
    "Where",
    "apply_revert",
    "as_change",
    "available_backends",
    "copy_namespace",
    "export_lines",
    "find_entity",
    "import_lines",
    "is_same_state",
    "load_embedder",
    "merge_entities",
    "namespace_digest",
    "open_store",
    "plan_revert",
    "read_commits",
    "read_entities",
    "read_page",
    "read_pages",
    "revert",
    "search_page",
    "uuid7",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
