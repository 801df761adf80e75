"""The traces of a batch linked into stories: with each other, and with those in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from kaizen.sync.outcomes.rules import story_outcome
from kaizen.sync.state.records import (
    TraceRecord,
    part_reason,
    record_id,
    stored_outcome,
    stored_trajectory,
    story_key,
)
from kaizen.sync.trajectory.stories import joined, link, related

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kaizen.store import Entity, Store
    from kaizen.sync.model import Outcome, Trajectory
    from kaizen.sync.run.prepare import PreparedTrace
    from kaizen.sync.trajectory.stories import Story, TraceDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStory:
    """A story as of one moment: `prepared` are those of its traces that the run works on, in its order.

    `stored` are the records of all its traces that have one, by trace id, also of prepared ones.
    """

    story: Story
    prepared: Mapping[str, PreparedTrace]
    stored: Mapping[str, Entity]

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
        return frozenset(self.trace_ids).union(*(one.keys for one in self._descriptions()))

    @property
    def looked_for(self) -> frozenset[str]:
        return frozenset(self.trace_ids).union(*(one.related_keys for one in self._descriptions()))

    def start_time(self, trace_id: str) -> datetime:
        """Return when that trace of the story started."""
        if trace_id in self.prepared:
            return self.prepared[trace_id].start_time
        description = TraceRecord.of(self.stored[trace_id]).description
        assert description is not None
        return datetime.fromisoformat(description.start_time)

    def trajectories(self) -> list[Trajectory]:
        """Return those that make up the story, in order of time."""
        return [
            self.prepared[trace_id].trajectory
            if trace_id in self.prepared
            else stored_trajectory(self.stored[trace_id])
            for trace_id in self.story.told_by
        ]

    def trajectory(self) -> Trajectory:
        return replace(joined(self.trajectories()), outcome=self.outcome)

    @property
    def outcome(self) -> Outcome:
        """How the story ended: annotations of any of its traces count, also of those that add no message."""
        prepared = self.prepared.values()
        descriptions = {one.trace_id: one for one in _descriptions(self.stored)}
        descriptions |= {trace.trace_id: trace.description for trace in prepared}
        outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in self.stored.items()}
        outcomes |= {trace.trace_id: trace.trajectory.outcome for trace in prepared}
        return _last_word(descriptions.values(), outcomes)

    def _descriptions(self) -> list[TraceDescription]:
        return [*(trace.description for trace in self.prepared.values()), *_descriptions(self.stored)]

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
        stored = self._by_ids([*(trace.trace_id for trace in prepared), *skipped])
        earlier = self._companions(stored)
        # A trace that changed may leave its story, whose other traces must then be told by another.
        stored |= earlier

        def with_key(key: str) -> Iterable[TraceDescription]:
            found = self._where(f"story_keys.{story_key(self.source, self.project, key)}", True)
            found = {trace_id: entity for trace_id, entity in found.items() if trace_id not in skipped}
            for trace_id, entity in found.items():
                stored.setdefault(trace_id, entity)
            return _descriptions(found)

        new = {one.trace_id: one for one in _descriptions(earlier)}
        new |= {trace.trace_id: trace.description for trace in prepared}
        stories = link(related(new.values(), with_key))
        by_id = {trace.trace_id: trace for trace in prepared}
        return [_linked_story(story, by_id, stored) for story in stories]

    def recorded(self, head: str) -> dict[str, Entity]:
        """Return the records of the story with that head, by trace id."""
        return self._by_ids([head]) | self._where("reason", part_reason(head))

    def _companions(self, stored: Mapping[str, Entity]) -> dict[str, Entity]:
        """Return the traces that were of one story with these when they were recorded."""
        heads = {TraceRecord.of(entity).head or trace_id for trace_id, entity in stored.items()}
        found = self._by_ids(heads)
        for head in heads:
            found |= self._where("reason", part_reason(head))
        return {trace_id: entity for trace_id, entity in found.items() if trace_id not in stored}

    def _by_ids(self, trace_ids: Iterable[str]) -> dict[str, Entity]:
        ids = [record_id(self.source, self.project, trace_id) for trace_id in trace_ids]
        return self._described(self.store.get_many(self.namespace_id, ids).values())

    def _where(self, path: str, value: str | bool) -> dict[str, Entity]:
        return self._described(self.store.iterate(self.namespace_id, where={path: value}))

    def _described(self, entities: Iterable[Entity]) -> dict[str, Entity]:
        of_project = (self.source, self.project)
        return {
            str(entity.metadata["trace_id"]): entity
            for entity in entities
            if (entity.metadata.get("source"), entity.metadata.get("project")) == of_project
        }


def _descriptions(entities: Mapping[str, Entity]) -> list[TraceDescription]:
    found = (TraceRecord.of(entity).description for entity in entities.values())
    return [one for one in found if one is not None]


def outcome_of(stored: Mapping[str, Entity], judged: Mapping[str, Outcome]) -> Outcome:
    """Return how the story of these records ended, where some of its traces are `judged` anew."""
    outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in stored.items()}
    return _last_word(_descriptions(stored), {**outcomes, **judged})


def _last_word(traces: Iterable[TraceDescription], outcomes: Mapping[str, Outcome]) -> Outcome:
    # By id too, since traces of one loop may start in the same microsecond.
    in_time = sorted(traces, key=lambda one: (one.start_time, one.trace_id))
    return story_outcome([outcomes[one.trace_id] for one in in_time])


def _linked_story(
    story: Story, prepared: Mapping[str, PreparedTrace], stored: Mapping[str, Entity]
) -> LinkedStory:
    members = {story.head, *story.parts}
    return LinkedStory(
        story=story,
        prepared={trace_id: trace for trace_id, trace in prepared.items() if trace_id in members},
        stored={trace_id: entity for trace_id, entity in stored.items() if trace_id in members},
    )
