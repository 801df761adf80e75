"""Define the evidence that backs a tip: its sources, each stored as an entity of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from kaizen.store import Put

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Entity

EVIDENCE = "evidence"
"""The type of entity that the sources of tips are stored as."""

SUPPORTS = "supports"
UNSOUND = "unsound"


class StoryKey(NamedTuple):
    """A conversation that is learned from, by one of its traces."""

    source: str
    project: str
    story_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TipSource:
    """One piece of evidence for a tip: where in which trace, and the words that show it.

    `outcome` is how the story ended, by what `judged_by` names. `verified` says that the quote was found in
    the trace, `is_suspect` that the story shows an attempt to steer its reader. `story_id` is the trace that
    is learned from, of several that tell one story. `steps` are the numbers of the messages of that story
    that show it, `tools` the versions of the tools that the tip is about, `models` those that the agent used.
    """

    source: str
    project: str
    trace_id: str
    span_id: str
    quote: str
    outcome: str
    judged_by: str = ""
    url: str
    story_id: str = ""
    verified: bool = True
    steps: tuple[int, ...] = ()
    is_suspect: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> TipSource:
        """Read a source as `to_json` writes it; what a person left out is empty."""
        names = ("source", "project", "trace_id", "span_id", "quote", "url", "judged_by")
        return cls(
            **{name: value.get(name) or "" for name in names},
            story_id=str(value.get("story_id") or value["trace_id"]),
            outcome=value.get("outcome") or "unknown",
            verified=value.get("verified", True),
            is_suspect=value.get("suspect", False),
            steps=tuple(value.get("steps") or ()),
            models=tuple(value.get("models") or ()),
            tools=value.get("tools") or {},
        )

    @property
    def is_sound(self) -> bool:
        """Whether the quote was found, in a story that does not try to steer its reader."""
        return self.verified and not self.is_suspect

    @property
    def story(self) -> StoryKey:
        return StoryKey(self.source, self.project, self.story_id or self.trace_id)

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        # Lists, as the store gives them back: else what is the same would not compare equal.
        values |= {"steps": list(self.steps), "models": list(self.models), "tools": dict(self.tools)}
        return {("suspect" if name == "is_suspect" else name): value for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSource:
    """A source as the store has it: `tip_id` is the tip that it was found for, merged or not since.

    Its id is made of the tip and the story, so that a story that is read again puts the same entity.
    `found_at` is None until the store has it.
    """

    id: str
    tip_id: str
    source: TipSource
    kind: str = SUPPORTS
    found_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def create(cls, tip_id: str, source: TipSource, *, number: int = 0) -> Self:
        """Make the evidence of a tip; `number` tells apart several of one story."""
        key = (tip_id, *source.story, *([number] if number else []))
        digest = blake2b(repr(key).encode(), digest_size=16).hexdigest()
        return cls(id=f"{EVIDENCE}:{digest}", tip_id=tip_id, source=source)

    @classmethod
    def of(cls, entity: Entity) -> Self:
        metadata: Mapping[str, Any] = entity.metadata
        return cls(
            id=entity.id,
            tip_id=metadata["tip_id"],
            source=TipSource.of(metadata),
            kind=metadata.get("kind") or SUPPORTS,
            found_at=entity.created_at,
        )

    def to_put(self) -> Put:
        # Without content, so that it costs no search anything.
        metadata = {"tip_id": self.tip_id, "kind": self.kind, **self.source.to_json()}
        metadata["story_id"] = self.source.story.story_id
        return Put(id=self.id, type=EVIDENCE, content="", metadata=metadata)


def count_stories(evidence: Iterable[StoredSource]) -> dict[str, int]:
    """Count the distinct stories behind a tip by outcome; by `UNSOUND` those without sound evidence."""
    stories: dict[StoryKey, str] = {}
    for stored in evidence:
        source = stored.source
        if stored.kind == SUPPORTS and source.is_sound:
            stories[source.story] = source.outcome
        elif stored.kind == SUPPORTS:
            stories.setdefault(source.story, UNSOUND)
    return dict(sorted(Counter(stories.values()).items()))
