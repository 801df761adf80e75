"""Define the values a store deals in: entities, changes, and the commits that carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - who inspects the annotations at run time needs it
from typing import TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""A value that JSON can carry unchanged.

String keys, finite floats, integers of at most 64 bits, no lone surrogates, at most 100 levels deep.
"""

Metadata: TypeAlias = Mapping[str, JsonValue]

Expected: TypeAlias = int | Mapping[str, int]
"""A commit's precondition: the namespace's version, or the revision of each named entity (0: absent)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One stored record.

    `revision` is 1 when the entity is created and grows by one with every commit that puts it, equal
    content or not; it starts again at 1 after a delete. Times are aware and in UTC.
    """

    id: str
    namespace_id: str
    type: str
    content: str
    metadata: Metadata
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Create the entity, or replace its type, content and metadata whole.

    Without an `id` a new UUIDv7 is given. `id` may be any non-empty text of at most 512 characters
    without control characters; `type` follows the rules of a namespace id: 1 to 100 ASCII letters,
    digits, `.`, `_`, `-`, the first not a dot. `content` is kept exactly, NUL and all.
    """

    type: str
    content: str
    metadata: Metadata = field(default_factory=dict)
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove the entity; its history stays."""

    id: str


Change: TypeAlias = Put | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one change did: the entity before (None: it was created) and after (None: it was deleted)."""

    before: Entity | None
    after: Entity | None

    @property
    def entity_id(self) -> str:
        entity = self.after or self.before
        assert entity is not None
        return entity.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Changes that happened together.

    `id` is a UUIDv7; `version` is the namespace's version after this commit, 1 for its first one. `at`
    never goes back within a namespace, whatever the clocks do.
    `run_id` groups the commits of one run (a sync, an import), so that a run can be undone as a whole.
    """

    id: str
    namespace_id: str
    version: int
    at: datetime
    actor: str
    reason: str
    run_id: str | None
    changes: tuple[Applied, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The unit of isolation. `version` counts its commits; it is 0 for a new one."""

    id: str
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some entities in order of id, and the `cursor` to pass as `after` for more (None: that was all)."""

    entities: tuple[Entity, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """An entity that a search found, and why.

    `score` orders the hits and compares only within one search. `lexical` is the score of the words
    (greater is better; None: it shares none with the query), `dense` the cosine of the meanings from -1
    to 1 (None: no embedder, or the entity is not embedded yet).
    """

    entity: Entity
    score: float
    lexical: float | None
    dense: float | None
