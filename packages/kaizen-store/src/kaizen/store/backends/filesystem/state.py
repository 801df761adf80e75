"""Hold a namespace in memory: its current entities, and where in the journal each commit is."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from kaizen.store.commits import Head, check_follows
from kaizen.store.filtering import field_of, flatten
from kaizen.store.model import Entity, JsonValue, Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from kaizen.store.filtering import Filter
    from kaizen.store.history.lines import CommitRecord


_Field: TypeAlias = tuple[str, str] | tuple[()]


class NamespaceState:
    """The current entities of a namespace, built commit by commit. Not safe for threads: callers lock."""

    def __init__(self, created_at: datetime) -> None:
        self.created_at = created_at
        self.last_at = created_at
        self.last_id: str | None = None
        self.entities: dict[str, Entity] = {}
        # Eight bytes a commit, where a list of numbers takes nearly forty.
        self.offsets = array("Q")
        """Where in the journal the commit of each version starts, version 1 first."""
        self.versions_by_entity: dict[str, list[int]] = {}
        self.versions_by_run: dict[str, list[int]] = {}
        self._indexes: dict[str | None, _Index] = {}
        """By the keys of metadata that were filtered; None for the types and for all entities."""

    @property
    def version(self) -> int:
        return len(self.offsets)

    def head(self) -> Head:
        return Head(self.version, self.last_at, self.last_id)

    def apply(self, record: CommitRecord, offset: int) -> None:
        """Apply the next commit, whole or not at all; raise `ValueError` if it does not follow."""
        if record.version != self.version + 1:
            raise ValueError(f"this is version {record.version} where {self.version + 1} must follow")
        for entity_id, after in record.after.items():
            check_follows(entity_id, self.entities.get(entity_id), after)
        self.offsets.append(offset)
        self.last_at = max(self.last_at, record.at)
        self.last_id = record.id
        if record.run_id is not None:
            self.versions_by_run.setdefault(record.run_id, []).append(record.version)
        for entity_id, after in record.after.items():
            self.versions_by_entity.setdefault(entity_id, []).append(record.version)
            self._set(entity_id, after)

    def page(self, selected: Filter, *, after: str | None, limit: int) -> Page:
        found: list[Entity] = []
        for entity in self._candidates(selected, after):
            if selected.selects(entity):
                if len(found) == limit:
                    return Page(entities=tuple(map(copy_entity, found)), cursor=found[-1].id)
                found.append(entity)
        return Page(entities=tuple(map(copy_entity, found)), cursor=None)

    def count(self, selected: Filter) -> int:
        if not selected.values:
            return len(self._fewest_ids(selected))
        return sum(map(selected.selects, self._candidates(selected, None)))

    def versions(self, run_id: str | None, *, after: int, limit: int) -> Sequence[int]:
        """Return the versions greater than `after`, at most `limit`, oldest first."""
        if run_id is None:
            return range(after + 1, min(after + limit, self.version) + 1)
        of_run = self.versions_by_run.get(run_id, [])
        start = bisect_right(of_run, after)
        return of_run[start : start + limit]

    def version_before(self, entity_id: str, version: int) -> int | None:
        """Return the last version before `version` that touched the entity."""
        touching = self.versions_by_entity[entity_id]
        index = bisect_left(touching, version)
        return touching[index - 1] if index else None

    def _set(self, entity_id: str, after: Entity | None) -> None:
        before = self.entities.get(entity_id)
        for key, index in self._indexes.items():
            index.move(entity_id, _fields(before, key), _fields(after, key))
        if after is None:
            del self.entities[entity_id]
        else:
            self.entities[entity_id] = after

    def _candidates(self, selected: Filter, after: str | None) -> Iterator[Entity]:
        """Give all that may be selected, by id: those with the rarest of the fields that the filter names."""
        ids = self._fewest_ids(selected)
        for index in range(0 if after is None else bisect_right(ids, after), len(ids)):
            yield self.entities[ids[index]]

    def _fewest_ids(self, selected: Filter) -> Sequence[str]:
        found = [self._index(None).ids(() if selected.type is None else _type_field(selected.type))]
        for path, value in selected.values:
            if value is not None:
                found.append(self._index(path[0]).ids(field_of(path, value)))
        return min(found, key=len)

    def _index(self, key: str | None) -> _Index:
        # Built when it is first needed: opening is faster, and few keys of metadata are ever filtered.
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = _Index()
            for entity_id in sorted(self.entities):
                index.append(entity_id, _fields(self.entities[entity_id], key))
        return index


class _Index:
    """The ids of entities by the fields they have, each list in order of id."""

    def __init__(self) -> None:
        self._ids: dict[_Field, list[str]] = {}

    def ids(self, field: _Field) -> Sequence[str]:
        return self._ids.get(field, ())

    def append(self, entity_id: str, fields: Iterable[_Field]) -> None:
        """Add an entity whose id is greater than those of all others."""
        for field in fields:
            self._ids.setdefault(field, []).append(entity_id)

    def move(self, entity_id: str, before: set[_Field], after: set[_Field]) -> None:
        for field in before - after:
            ids = self._ids[field]
            del ids[bisect_left(ids, entity_id)]
            if not ids:
                del self._ids[field]
        for field in after - before:
            insort(self._ids.setdefault(field, []), entity_id)


def _fields(entity: Entity | None, key: str | None) -> set[_Field]:
    """Return an entity's fields at and below a key of its metadata; for None, that of all and its type."""
    if entity is None:
        return set()
    if key is None:
        return {(), _type_field(entity.type)}
    return set(flatten({key: entity.metadata[key]})) if key in entity.metadata else set()


def _type_field(type_: str) -> _Field:
    return ("type", type_)


def copy_entity(entity: Entity) -> Entity:
    """Return the same entity with a `metadata` of its own, which its receiver may change."""
    return replace(entity, metadata={key: _copy_json(item) for key, item in entity.metadata.items()})


def _copy_json(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy_json(item) for item in value]
    return value
