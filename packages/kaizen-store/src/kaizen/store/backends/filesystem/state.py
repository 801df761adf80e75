"""Hold a namespace in memory: its current entities, and where in the journal each commit is."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.store.commits import Head, check_follows
from kaizen.store.model import Entity, JsonValue, Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from kaizen.store.filtering import Filter
    from kaizen.store.history.lines import CommitRecord


class NamespaceState:
    """The current entities of a namespace, built commit by commit. Not safe for threads: callers lock."""

    def __init__(self, created_at: datetime) -> None:
        self.created_at = created_at
        self.last_at = created_at
        self.last_id: str | None = None
        self.entities: dict[str, Entity] = {}
        self.offsets = array("Q")
        """Where in the journal the commit of each version starts, version 1 first."""
        self.versions_by_entity: dict[str, list[int]] = {}
        self.versions_by_run: dict[str, list[int]] = {}
        self._sorted_ids: list[str] | None = None
        self._holders: dict[str, dict[str, list[str]]] = {}
        """By keys of metadata that were filtered below: the entities that hold each key below."""

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
        return sum(map(selected.selects, self.entities.values()))

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
        for key, holders in self._holders.items():
            for name in _names(self.entities.get(entity_id), key):
                holders[name].remove(entity_id)
                if not holders[name]:
                    del holders[name]
            for name in _names(after, key):
                holders.setdefault(name, []).append(entity_id)
        ids = self._sorted_ids
        if after is None:
            del self.entities[entity_id]
            if ids is not None:
                del ids[bisect_left(ids, entity_id)]
            return
        if ids is not None and entity_id not in self.entities:
            insort(ids, entity_id)
        self.entities[entity_id] = after

    def _candidates(self, selected: Filter, after: str | None) -> Iterator[Entity]:
        """All that may be selected, by id; few where a value below a key of the metadata is asked for."""
        paths = (path for path, value in selected.values if len(path) > 1 and value is not None)
        fewest = min((self._holding(*path[:2]) for path in paths), key=len, default=None)
        if fewest is None:
            return self._from(after)
        return (
            self.entities[entity_id] for entity_id in sorted(fewest) if after is None or entity_id > after
        )

    def _holding(self, key: str, name: str) -> Sequence[str]:
        holders = self._holders.get(key)
        if holders is None:
            holders = self._holders[key] = {}
            for entity in self.entities.values():
                for held in _names(entity, key):
                    holders.setdefault(held, []).append(entity.id)
        return holders.get(name, ())

    def _from(self, after: str | None) -> Iterator[Entity]:
        # Sorted at the first listing rather than while loading: one sort is cheaper than many insertions.
        if self._sorted_ids is None:
            self._sorted_ids = sorted(self.entities)
        start = 0 if after is None else bisect_right(self._sorted_ids, after)
        for index in range(start, len(self._sorted_ids)):
            yield self.entities[self._sorted_ids[index]]


def _names(entity: Entity | None, key: str) -> Iterable[str]:
    """Return the keys below a key of the entity's metadata."""
    below = entity.metadata.get(key) if entity else None
    return below.keys() if isinstance(below, Mapping) else ()


def copy_entity(entity: Entity) -> Entity:
    """Return the same entity with a `metadata` of its own, which its receiver may change."""
    return replace(entity, metadata={key: _copy_json(item) for key, item in entity.metadata.items()})


def _copy_json(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy_json(item) for item in value]
    return value
