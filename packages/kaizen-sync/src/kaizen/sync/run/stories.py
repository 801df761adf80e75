"""The traces of a batch linked into stories: with each other, and with those that the store has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    from kaizen.sync.outcomes.judge import Judgement
    from kaizen.sync.trajectory.stories import Story, TraceDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A trace of the run that can be told: its redacted trajectory, its judgement, and what linking needs."""

    trace_id: str
    digest: str
    start_time: datetime
    trajectory: Trajectory
    description: TraceDescription
    judgement: Judgement
    redacted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A story as of one moment: `drafts` are those of its traces that the run works on, in its order.

    `stored` are the records of all its traces that have one, by trace id, also of drafts.
    """

    story: Story
    drafts: Mapping[str, Draft]
    stored: Mapping[str, Entity]

    @property
    def trace_ids(self) -> tuple[str, ...]:
        return (self.story.head, *self.story.parts)

    @property
    def told_by(self) -> tuple[str, ...]:
        """What the story is told by, each trace as it is now: what was learned depends on nothing else."""
        return tuple(f"{trace_id}:{self._digest(trace_id)}" for trace_id in self.story.told_by)

    @property
    def is_learned(self) -> bool:
        """Whether the store has what this story teaches already."""
        head = self.story.head
        if head in self.drafts:
            return False
        record = TraceRecord.of(self.stored[head])
        return record.state in ("learned", "no_lesson") and record.told_by == self.told_by

    @property
    def marks(self) -> frozenset[str]:
        """What another story has in `looked_for` if it may be the same one."""
        return frozenset(self.trace_ids).union(*(one.keys for one in self._descriptions()))

    @property
    def looked_for(self) -> frozenset[str]:
        return frozenset(self.trace_ids).union(*(one.related_keys for one in self._descriptions()))

    def start_time(self, trace_id: str) -> datetime:
        """When that trace of the story started."""
        if trace_id in self.drafts:
            return self.drafts[trace_id].start_time
        description = TraceRecord.of(self.stored[trace_id]).description
        assert description is not None
        return datetime.fromisoformat(description.start_time)

    def trajectories(self) -> list[Trajectory]:
        """Those that tell the story, in order of time."""
        return [
            self.drafts[trace_id].trajectory
            if trace_id in self.drafts
            else stored_trajectory(self.stored[trace_id])
            for trace_id in self.story.told_by
        ]

    def trajectory(self) -> Trajectory:
        return replace(joined(self.trajectories()), outcome=self.outcome)

    @property
    def outcome(self) -> Outcome:
        """How the story ended: what is said of any of its traces counts, also of those it is not told by."""
        drafts = self.drafts.values()
        descriptions = {one.trace_id: one for one in _descriptions(self.stored)}
        descriptions |= {draft.trace_id: draft.description for draft in drafts}
        outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in self.stored.items()}
        outcomes |= {draft.trace_id: draft.trajectory.outcome for draft in drafts}
        return _last_word(descriptions.values(), outcomes)

    def _descriptions(self) -> list[TraceDescription]:
        return [*(draft.description for draft in self.drafts.values()), *_descriptions(self.stored)]

    def _digest(self, trace_id: str) -> str:
        if trace_id in self.drafts:
            return self.drafts[trace_id].digest
        return TraceRecord.of(self.stored[trace_id]).digest


class Linker:
    """Finds the stories of traces by exact look-ups in one namespace, for one project of a source."""

    def __init__(self, store: Store, namespace_id: str, source: str, project: str) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._source = source
        self._project = project

    def tellings(self, drafts: Sequence[Draft], *, untold: Collection[str] = ()) -> list[Telling]:
        """The stories that the drafts are of, and those that their traces were of before they changed.

        `untold` are traces that are of no story any more, if they ever were.
        """
        stored = self._by_ids([*(draft.trace_id for draft in drafts), *untold])
        earlier = self._companions(stored)
        stored |= earlier

        def with_key(key: str) -> Iterable[TraceDescription]:
            found = self._where(f"story_keys.{story_key(self._source, self._project, key)}", True)
            found = {trace_id: entity for trace_id, entity in found.items() if trace_id not in untold}
            for trace_id, entity in found.items():
                stored.setdefault(trace_id, entity)
            return _descriptions(found)

        new = {one.trace_id: one for one in _descriptions(earlier)}
        new |= {draft.trace_id: draft.description for draft in drafts}
        stories = link(related(new.values(), with_key))
        by_id = {draft.trace_id: draft for draft in drafts}
        return [_telling(story, by_id, stored) for story in stories]

    def recorded(self, head: str) -> dict[str, Entity]:
        """The records of the story with that head, by trace id."""
        return self._by_ids([head]) | self._where("reason", part_reason(head))

    def _companions(self, stored: Mapping[str, Entity]) -> dict[str, Entity]:
        """The traces that were of one story with these when they were recorded."""
        heads = {TraceRecord.of(entity).head or trace_id for trace_id, entity in stored.items()}
        found = self._by_ids(heads)
        for head in heads:
            found |= self._where("reason", part_reason(head))
        return {trace_id: entity for trace_id, entity in found.items() if trace_id not in stored}

    def _by_ids(self, trace_ids: Iterable[str]) -> dict[str, Entity]:
        ids = [record_id(self._source, self._project, trace_id) for trace_id in trace_ids]
        return self._described(self._store.get_many(self._namespace_id, ids).values())

    def _where(self, path: str, value: str | bool) -> dict[str, Entity]:
        return self._described(self._store.iterate(self._namespace_id, where={path: value}))

    def _described(self, entities: Iterable[Entity]) -> dict[str, Entity]:
        of_project = (self._source, self._project)
        return {
            str(entity.metadata["trace_id"]): entity
            for entity in entities
            if (entity.metadata.get("source"), entity.metadata.get("project")) == of_project
        }


def _descriptions(entities: Mapping[str, Entity]) -> list[TraceDescription]:
    found = (TraceRecord.of(entity).description for entity in entities.values())
    return [one for one in found if one is not None]


def outcome_of(stored: Mapping[str, Entity], judged: Mapping[str, Outcome]) -> Outcome:
    """How the story of these records ended, where some of its traces are `judged` anew."""
    outcomes = {trace_id: stored_outcome(entity) for trace_id, entity in stored.items()}
    return _last_word(_descriptions(stored), {**outcomes, **judged})


def _last_word(traces: Iterable[TraceDescription], outcomes: Mapping[str, Outcome]) -> Outcome:
    in_time = sorted(traces, key=lambda one: (one.start_time, one.trace_id))
    return story_outcome([outcomes[one.trace_id] for one in in_time])


def _telling(story: Story, drafts: Mapping[str, Draft], stored: Mapping[str, Entity]) -> Telling:
    members = {story.head, *story.parts}
    return Telling(
        story=story,
        drafts={trace_id: draft for trace_id, draft in drafts.items() if trace_id in members},
        stored={trace_id: entity for trace_id, entity in stored.items() if trace_id in members},
    )
