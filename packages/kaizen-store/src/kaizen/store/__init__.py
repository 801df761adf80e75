"""Where Kaizen keeps what agents learned: entities in namespaces, changed by atomic commits."""

from kaizen.store.contract import Backend, Reindexable, Store
from kaizen.store.errors import (
    ConflictError,
    CorruptDataError,
    InvalidInputError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
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
from kaizen.store.reverting import Reversal, apply_revert, plan_revert, revert
from kaizen.store.settings import StoreSettings

__all__ = [
    "Applied",
    "Backend",
    "Change",
    "Commit",
    "ConflictError",
    "CorruptDataError",
    "Delete",
    "Entity",
    "Expected",
    "InvalidInputError",
    "JsonValue",
    "Metadata",
    "Namespace",
    "NotFoundError",
    "Page",
    "Put",
    "Reindexable",
    "Reversal",
    "SearchHit",
    "Store",
    "StoreError",
    "StoreSettings",
    "UnavailableError",
    "apply_revert",
    "available_backends",
    "open_store",
    "plan_revert",
    "revert",
]
