"""Pick entities as people ask for them: by types, by values a field must not have, by a prefix of an id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from kaizen.store.errors import InvalidInputError, NotFoundError
from kaizen.store.filtering import json_equal, value_at
from kaizen.store.model import Page

if TYPE_CHECKING:
    from kaizen.store.contract import Store
    from kaizen.store.model import Entity, JsonValue, SearchHit

_PAGE = 1_000
_CANDIDATES = 5
# No id goes on with a greater one: the two after it are no characters to Unicode.
_AFTER_ALL = "\U0010fffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Metadata fields, by dotted path, and the values that they must have, or must not have."""

    equal: Mapping[str, JsonValue] = field(default_factory=dict)
    unequal: Sequence[tuple[str, JsonValue]] = ()

    def __bool__(self) -> bool:
        return bool(self.equal or self.unequal)

    def keeps(self, entity: Entity) -> bool:
        """Whether no field has a value that it must not have."""
        return not any(
            json_equal(value_at(entity.metadata, tuple(path.split("."))), value)
            for path, value in self.unequal
        )


def read_page(
    store: Store,
    namespace_id: str,
    *,
    types: Sequence[str],
    where: Where,
    keep: Callable[[Entity], bool] | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return one page, in order of id, of the entities of these types that `where` and `keep` accept."""
    if not where.unequal and keep is None:
        return _merged_page(store, namespace_id, types, where, after, limit)
    found: list[Entity] = []
    while True:
        page = _merged_page(store, namespace_id, types, where, after, _PAGE)
        for entity in page.entities:
            if where.keeps(entity) and (keep is None or keep(entity)):
                if len(found) == limit:
                    return Page(entities=tuple(found), cursor=found[-1].id)
                found.append(entity)
        after = page.cursor
        if after is None:
            return Page(entities=tuple(found), cursor=None)


def read_pages(
    store: Store,
    namespace_id: str,
    *,
    types: Sequence[str],
    where: Where,
    keep: Callable[[Entity], bool] | None = None,
    after: str | None = None,
) -> Iterator[Page]:
    """Read all such entities, page by page; there is at least one page."""
    while True:
        page = read_page(store, namespace_id, types=types, where=where, keep=keep, after=after, limit=_PAGE)
        yield page
        after = page.cursor
        if after is None:
            return


def _merged_page(
    store: Store, namespace_id: str, types: Sequence[str], where: Where, after: str | None, limit: int
) -> Page:
    pages = [
        store.list(namespace_id, type=type_, where=where.equal, after=after, limit=limit) for type_ in types
    ]
    ordered = merge(*(page.entities for page in pages), key=lambda entity: entity.id)
    entities = tuple(islice(ordered, limit))
    is_all = all(page.cursor is None for page in pages) and sum(len(page.entities) for page in pages) <= limit
    return Page(entities=entities, cursor=None if is_all else entities[-1].id)


def search_page(
    store: Store, namespace_id: str, query: str, *, types: Sequence[str], where: Where, limit: int
) -> list[SearchHit]:
    """Search as `Store.search` does, among the entities of these types that `where` accepts."""
    if not types:
        return []
    asked = limit
    while True:
        hits = store.search(
            namespace_id, query, type=types[0] if len(types) == 1 else None, where=where.equal, limit=asked
        )
        kept = [hit for hit in hits if hit.entity.type in types and where.keeps(hit.entity)]
        if len(kept) >= limit or len(hits) < asked:
            return kept[:limit]
        # Too few of them passed: a store cannot search by what a field must not be.
        asked *= 4


def find_entity(store: Store, namespace_id: str, prefix: str, *, type: str | None = None) -> Entity:
    """Return the entity with this id, or the only one whose id begins so.

    `NotFoundError` if there is none; `InvalidInputError`, which lists some, if there are several.
    """
    exact = store.get_many(namespace_id, [prefix])
    if prefix in exact and type in (None, exact[prefix].type):
        return exact[prefix]
    found = [
        entity
        for entity in store.list(
            namespace_id, type=type, after=_just_before(prefix), limit=_CANDIDATES + 1
        ).entities
        if entity.id.startswith(prefix)
    ]
    if len(found) == 1:
        return found[0]
    kind = "tip" if type == "guideline" else "entity"
    if not found:
        raise NotFoundError(
            f"{kind} {prefix!r} does not exist in namespace {namespace_id!r}",
            namespace_id=namespace_id,
            entity_id=prefix,
        )
    named = ", ".join(entity.id for entity in found[:_CANDIDATES])
    more = ", ..." if len(found) > _CANDIDATES else ""
    raise InvalidInputError(
        f"several ids begin with {prefix!r}: {named}{more}; write more of the one you mean"
    )


def _just_before(prefix: str) -> str | None:
    """Return a text that sorts before all that begin with the prefix, and after what is before them."""
    if prefix[-1] <= " ":
        return prefix[:-1] or None
    before = chr(ord(prefix[-1]) - 1)
    return prefix[:-1] + ("\ud7ff" if before == "\udfff" else before) + _AFTER_ALL
