"""The traces of a batch linked into stories: with each other, and with those in the store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from kaizen.sync.errors import IncompleteRecordError
from kaizen.sync.outcomes.rules import story_outcome
from kaizen.sync.state.records import (
    TRAJECTORY,
    TraceRecord,
    old_part_reason,
    record_id,
    stored_outcome,
    story_key,
)
from kaizen.sync.state.trajectories import Base, base_id, stored_trajectory, whole_descriptions
from kaizen.sync.trajectory.stories import joined, keys_of, link, related, related_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from kaizen.store import Entity, Put, Store
    from kaizen.sync.model import Outcome, Trajectory
    from kaizen.sync.run.prepare import PreparedTrace
    from kaizen.sync.trajectory.stories import Story, TraceDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStory:
    """A story as of one moment: `prepared` are those of its traces that the run works on, in its order.

    `stored` are the records of all its traces that have one, by trace id, also of prepared ones;
    `descriptions` are those of all its traces. `known` are all records that were read with these, among them
    those without which one of the story cannot be read.
    """

    story: Story
    prepared: Mapping[str, PreparedTrace]
    stored: Mapping[str, Entity]
    descriptions: Mapping[str, TraceDescription]
    known: Mapping[str, Entity]

    @property
    def trace_ids(self) -> tuple[str, ...]:
        return (self.story.head, *self.story.parts)

    @property
    def learned_from(self) -> tuple[str, ...]:
        """The traces that make up the story, each with its digest: nothing else decides what is learned."""
        return tuple(f"{trace_id}:{self._digest(trace_id)}" for trace_id in self.story.told_by)

    @property
    def is_learned(self) -> bool:
        """Whether the store has what can be learned from this story already."""
        head = self.story.head
        if head in self.prepared:
            return False
        # Not by the head alone: a story keeps it where a trace before it grew or came late.
        record = TraceRecord.of(self.stored[head])
        return record.state in ("learned", "no_lesson") and record.learned_from == self.learned_from

    @property
    def marks(self) -> frozenset[str]:
        """The keys that another version of the story has in `looked_for`."""
        return frozenset(self.trace_ids).union(keys_of(self.descriptions.values()))

    @property
    def looked_for(self) -> frozenset[str]:
        return frozenset(self.trace_ids).union(map(related_key, keys_of(self.descriptions.values())))

    def start_time(self, trace_id: str) -> datetime:
        """Return when that trace of the story started."""
        return datetime.fromisoformat(self.descriptions[trace_id].start_time)

    def trajectories(self) -> list[Trajectory]:
        """Return those that make up the story, in order of time."""
        return list(map(self.trajectory_of, self.story.told_by))

    def trajectory_of(self, trace_id: str) -> Trajectory:
        """Return the trajectory of one trace; raises `IncompleteRecordError`."""
        if trace_id in self.prepared:
            return self.prepared[trace_id].trajectory
        return stored_trajectory(self.stored[trace_id], self.known)

    def base_of(self, trace_id: str) -> Base | None:
        """Return the trace that this one continues, if there is one that can be read."""
        base = self.story.continued.get(trace_id)
        if base is None:
            return None
        try:
            trajectory = self.trajectory_of(base)
        except IncompleteRecordError:
            return None
        return Base(digest=self._digest(base), description=self.descriptions[base], trajectory=trajectory)

    def rebased(self, trace_id: str) -> Put | None:
        """Return the record of a stored trace as the end of the one that it continues now; None: it is that.

        So that the same traces are kept in the same way, in whatever order they came.
        """
        entity = self.stored[trace_id]
        base = self.story.continued.get(trace_id)
        is_recorded_anew = base in self.prepared and base in self.stored
        continues = base and {"trace_id": base, "digest": self._digest(base)}
        if entity.metadata.get("continues") == continues and not is_recorded_anew:
            return None
        try:
            trajectory = self.trajectory_of(trace_id)
        except IncompleteRecordError:
            return None
        record = TraceRecord.of(entity)
        return record.rebased(entity, self.descriptions[trace_id], trajectory, self.base_of(trace_id))

    def trajectory(self) -> Trajectory:
        return replace(joined(self.trajectories()), outcome=self.outcome)

    @property
    def outcome(self) -> Outcome:
        """How the story ended: annotations of any of its traces count, also of those that add no message."""
        outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in self.stored.items()}
        outcomes |= {trace_id: trace.trajectory.outcome for trace_id, trace in self.prepared.items()}
        return _last_word(self.descriptions.values(), outcomes)

    def _digest(self, trace_id: str) -> str:
        if trace_id in self.prepared:
            return self.prepared[trace_id].digest
        return TraceRecord.of(self.stored[trace_id]).digest


@dataclass(frozen=True, slots=True)
class Linker:
    """Finds the stories of traces by exact look-ups in one namespace, for one project of a source."""

    store: Store
    namespace_id: str
    source: str
    project: str

    def link_stories(
        self, prepared: Sequence[PreparedTrace], *, skipped: Collection[str] = ()
    ) -> list[LinkedStory]:
        """Return the stories of these traces, and those that they belonged to before they changed.

        `skipped` are the ids of traces that belong to no story any more, if they ever did.
        """
        by_id = {trace.trace_id: trace for trace in prepared}
        records = _Records(self, frozenset(skipped))
        records.add(self.read([*by_id, *skipped]))
        # A trace that changed may leave its story, whose other traces must then be told by another.
        earlier = records.add(self._companions(records.entities))
        new = records.described(trace_id for trace_id in earlier if trace_id not in by_id)
        new += (trace.description for trace in prepared)
        found = related(new, records.with_key, records.companions)
        return [
            _linked_story(story, by_id, records, {one.trace_id: one for one in found})
            for story in link(found)
        ]

    def recorded(self, record: TraceRecord) -> dict[str, Entity]:
        """Return the records of the story of that one, by trace id."""
        if record.story_id:
            return self.members(record.story_id)
        head = record.head or record.trace_id
        return self.read([head]) | self.where("reason", old_part_reason(head))

    def members(self, story_id: str) -> dict[str, Entity]:
        """Return the records of the traces that were linked into that story, by trace id."""
        return self.where("story_id", story_id)

    def where(self, path: str, value: str | bool) -> dict[str, Entity]:
        """Return the project's records with that value in their metadata, by trace id."""
        return self._described(self.store.iterate(self.namespace_id, type=TRAJECTORY, where={path: value}))

    def released(self, recorded: Iterable[str], changed: Collection[str]) -> list[Put]:
        """Return whole again the records that are kept as the end of one of these traces.

        `recorded` are the ids of traces that are recorded anew or whose records go, `changed` the ids of
        entities that are changed anyway.
        """
        records = _Records(self, frozenset())
        puts: dict[str, Put] = {}
        for trace_id in records.add(self.read(recorded)):
            found = self.where("continues.trace_id", trace_id)
            for other in records.add({k: one for k, one in found.items() if one.id not in changed}):
                entity = records.entities[other]
                try:
                    trajectory = stored_trajectory(entity, records.entities)
                except IncompleteRecordError:
                    continue
                description = records.descriptions[other]
                puts[other] = TraceRecord.of(entity).rebased(entity, description, trajectory, None)
        return list(puts.values())

    def bases(self, entities: Mapping[str, Entity], known: Collection[str]) -> dict[str, Entity]:
        """Return the records without which these cannot be read and that are not known, by trace id."""
        found: dict[str, Entity] = {}
        waiting = entities
        while waiting:
            wanted = set(map(base_id, waiting.values())) - {"", *found} - set(known)
            # Without those that somebody deleted: whoever needs one says so.
            waiting = self.read(wanted) if wanted else {}
            found |= waiting
        return found

    def _companions(self, stored: Mapping[str, Entity]) -> dict[str, Entity]:
        """Return the traces that were of one story with these when they were recorded."""
        found: dict[str, Entity] = {}
        for record in map(TraceRecord.of, stored.values()):
            if record.trace_id not in found:
                found |= self.recorded(record)
        return found

    def records(self) -> Iterator[Entity]:
        """Yield the records of all traces of the project."""
        where = {"source": self.source, "project": self.project}
        return self.store.iterate(self.namespace_id, type=TRAJECTORY, where=where)

    def read(self, trace_ids: Iterable[str]) -> dict[str, Entity]:
        """Return the records of these traces, by trace id."""
        ids = [record_id(self.source, self.project, trace_id) for trace_id in trace_ids]
        return self._described(self.store.get_many(self.namespace_id, ids).values())

    def _described(self, entities: Iterable[Entity]) -> dict[str, Entity]:
        of_project = (self.source, self.project)
        return {
            str(entity.metadata["trace_id"]): entity
            for entity in entities
            if (entity.metadata.get("source"), entity.metadata.get("project")) == of_project
        }


@dataclass(slots=True)
class _Records:
    """The records that were read to link traces, by trace id, with their whole descriptions.

    `skipped` are the ids of traces that belong to no story.
    """

    linker: Linker
    skipped: frozenset[str]
    entities: dict[str, Entity] = field(default_factory=dict)
    descriptions: dict[str, TraceDescription] = field(default_factory=dict)
    _members: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entities: Mapping[str, Entity]) -> list[str]:
        """Take in those that are not there yet, with all they need to be read; return the ids of all."""
        new = {trace_id: entity for trace_id, entity in entities.items() if trace_id not in self.entities}
        new |= self.linker.bases(new, {*self.entities, *new})
        self.entities |= new
        self.descriptions = whole_descriptions(new.values(), self.entities, self.descriptions)
        return list(entities)

    def described(self, trace_ids: Iterable[str]) -> list[TraceDescription]:
        known = self.descriptions.keys() - self.skipped
        return [self.descriptions[trace_id] for trace_id in trace_ids if trace_id in known]

    def with_key(self, key: str) -> list[TraceDescription]:
        name = story_key(self.linker.source, self.linker.project, key)
        found = self.linker.where(f"story_keys.{name}", True)
        for story_id in {TraceRecord.of(entity).story_id for entity in found.values()} - {"", *self._members}:
            self._members[story_id] = self.add(self.linker.members(story_id))
        return self.described(self.add(found))

    def companions(self, description: TraceDescription) -> list[TraceDescription]:
        story_id = TraceRecord.of(self.entities[description.trace_id]).story_id
        return self.described(self._members.get(story_id, ()))


def outcome_of(stored: Mapping[str, Entity], judged: Mapping[str, Outcome]) -> Outcome:
    """Return how the story of these records ended, where some of its traces are `judged` anew."""
    outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in stored.items()}
    return _last_word(whole_descriptions(stored.values(), stored).values(), {**outcomes, **judged})


def _last_word(traces: Iterable[TraceDescription], outcomes: Mapping[str, Outcome]) -> Outcome:
    # By id too, since traces of one loop may start in the same microsecond.
    in_time = sorted(traces, key=lambda one: (one.start_time, one.trace_id))
    return story_outcome([outcomes[one.trace_id] for one in in_time])


def _linked_story(
    story: Story,
    prepared: Mapping[str, PreparedTrace],
    records: _Records,
    descriptions: Mapping[str, TraceDescription],
) -> LinkedStory:
    members = {story.head, *story.parts}
    return LinkedStory(
        story=story,
        prepared={trace_id: trace for trace_id, trace in prepared.items() if trace_id in members},
        stored={trace_id: entity for trace_id, entity in records.entities.items() if trace_id in members},
        descriptions={trace_id: descriptions[trace_id] for trace_id in members},
        known=records.entities,
    )
