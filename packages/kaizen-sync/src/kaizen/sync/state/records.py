"""What a sync keeps in the store, and in which form: one record per trace, and tips with their sources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from kaizen.store import Put
from kaizen.sync.model import Conversation, Message, Outcome, Trajectory, Usage
from kaizen.sync.trajectory.stories import TraceDescription
from kaizen.sync.trajectory.tool_definitions import tool_versions
from kaizen.sync.trust.reasons import QUOTE_MISSING, without_missing_quote

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Entity
    from kaizen.sync.model import Tip

TRAJECTORY = "trajectory"
GUIDELINE = "guideline"
CHECKPOINT = "checkpoint"
RUN = "run"
CLAIM = "claim"
ACTOR = "kaizen sync"

State = Literal["learned", "no_lesson", "deferred", "skipped", "failed"]
STATES: tuple[State, ...] = ("learned", "no_lesson", "deferred", "skipped", "failed")

ERRORS_EXCLUDED = "errors excluded"
GONE = "deleted meanwhile"
WAS_SHOWN = "was shown to the agent"
TIPS_SHOWN = "its tips were shown to the agent"

_PART_OF = "part of "


class Ending(NamedTuple):
    """How traces are counted: by state, kind of reason, and for failed ones failures in a row."""

    state: State
    reason: str = ""
    attempts: int = 0

    def is_open(self, *, include_errors: bool, max_attempts: int) -> bool:
        """Whether a trace that ended so is tried again although it did not change."""
        if self.state == "failed":
            return self.attempts < max_attempts
        return self.reason == ERRORS_EXCLUDED and include_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRecord:
    """That a trace was processed, and how that ended. `attempts` counts failures in a row.

    `is_gone` says that the source has deleted it since; then it is not counted. `description` is what
    links it with others, where it has a trajectory. `told_by` names the traces, each as it was, whose joined
    trajectory was learned from. `recorded_in` is the hour of UTC in which it was processed, by which it is
    asked for again; empty where it has no trajectory.
    """

    source: str
    project: str
    trace_id: str
    digest: str
    state: State
    reason: str = ""
    attempts: int = 0
    tip_ids: tuple[str, ...] = ()
    is_gone: bool = False
    description: TraceDescription | None = None
    told_by: tuple[str, ...] = ()
    recorded_in: str = ""

    @property
    def entity_id(self) -> str:
        return record_id(self.source, self.project, self.trace_id)

    @property
    def head(self) -> str:
        """The trace that it is a part of; empty where it is none."""
        return self.reason.removeprefix(_PART_OF) if self.reason.startswith(_PART_OF) else ""

    @property
    def ending(self) -> Ending | None:
        """What it counts as; None where it does not."""
        return None if self.is_gone else self._ending

    @property
    def _ending(self) -> Ending:
        return Ending(self.state, reason_kind(self.reason), self.attempts if self.state == "failed" else 0)

    def is_final(self, digest: str, *, include_errors: bool, max_attempts: int) -> bool:
        """Whether a trace with this digest needs no more work."""
        return self.digest == digest and not self._ending.is_open(
            include_errors=include_errors, max_attempts=max_attempts
        )

    def to_put(self, trajectory: Trajectory | None, details: Mapping[str, Any]) -> Put:
        """The entity that keeps this record, with the (redacted) trajectory as its content."""
        metadata = {
            "source": self.source,
            "project": self.project,
            "trace_id": self.trace_id,
            "digest": self.digest,
            "state": self.state,
            "reason": self.reason,
            "attempts": self.attempts,
            "tip_ids": list(self.tip_ids),
            "told_by": list(self.told_by),
            "recorded_in": self.recorded_in,
            **(self._story_metadata(self.description) if self.description else {}),
            **(_trajectory_metadata(trajectory) if trajectory else {}),
            **details,
        }
        return Put(
            id=self.entity_id, type=TRAJECTORY, content=_trajectory_content(trajectory), metadata=metadata
        )

    def _story_metadata(self, description: TraceDescription) -> dict[str, Any]:
        keys = (story_key(self.source, self.project, key) for key in description.keys)
        return {"story": description.to_json(), "story_keys": dict.fromkeys(keys, True)}

    @classmethod
    def of(cls, entity: Entity) -> TraceRecord:
        metadata: Mapping[str, Any] = entity.metadata
        story = metadata.get("story")
        return cls(
            source=metadata["source"],
            project=metadata["project"],
            trace_id=metadata["trace_id"],
            digest=metadata["digest"],
            state=metadata["state"],
            reason=metadata["reason"],
            attempts=metadata["attempts"],
            tip_ids=tuple(metadata["tip_ids"]),
            is_gone=bool(metadata.get("gone")),
            description=TraceDescription.of_json(story) if story else None,
            told_by=tuple(metadata.get("told_by") or ()),
            recorded_in=metadata.get("recorded_in") or "",
        )


def record_id(source: str, project: str, trace_id: str) -> str:
    """`trajectory:<source>:<project>:<trace_id>`, the project percent-encoded where it must be."""
    return f"{TRAJECTORY}:{source}:{project_part(project)}:{trace_id}"


def project_part(project: str) -> str:
    """The project as a part of an id."""
    return quote(project, safe=" /@+")


def reason_kind(reason: str) -> str:
    """The reason without what differs from trace to trace: attributes, errors, ids."""
    kind = reason.partition(":")[0]
    return "part of another trace" if kind.startswith(_PART_OF) else kind


def part_reason(head: str) -> str:
    """Why a trace is skipped whose story is learned from another."""
    return f"{_PART_OF}{head}"


def story_key(source: str, project: str, key: str) -> str:
    """The name below `story_keys` in the metadata under which traces with that key are looked up."""
    return hashlib.blake2b(repr((source, project, key)).encode(), digest_size=8).hexdigest()


def marked_gone(entity: Entity, *, gone: bool) -> Put:
    """The record of a trace that the source has deleted, or has again; all else stays as it is."""
    metadata = {key: value for key, value in entity.metadata.items() if key != "gone"}
    if gone:
        metadata["gone"] = True
    return Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)


def retold(entity: Entity, record: TraceRecord, details: Mapping[str, Any]) -> Put:
    """The record of a trace whose place in its story changed, while the trace did not."""
    changed = {
        "state": record.state,
        "reason": record.reason,
        "attempts": record.attempts,
        "tip_ids": list(record.tip_ids),
        "told_by": list(record.told_by),
    }
    metadata = {**entity.metadata, **changed, **details}
    return Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)


def rejudged(entity: Entity, outcome: Outcome, judgement: Mapping[str, Any]) -> Put:
    """The record of a trace of which something else is said now; the trace is the same."""
    metadata = {**entity.metadata, "outcome": outcome.to_json(), "judgement": judgement}
    return Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)


def stored_outcome(entity: Entity) -> Outcome:
    """How a trace ended by its record; unknown where there is no trajectory."""
    metadata: Mapping[str, Any] = entity.metadata
    return Outcome(**metadata.get("outcome", {}))


def stored_trajectory(entity: Entity) -> Trajectory:
    """The (redacted) trajectory that a record with a description keeps."""
    metadata: Mapping[str, Any] = entity.metadata
    value = json.loads(entity.content)
    description = TraceDescription.of_json(metadata["story"])
    return Trajectory(
        trace_id=metadata["trace_id"],
        messages=tuple(map(Message.of_json, value["messages"])),
        side_conversations=tuple(
            Conversation(name=side["name"], messages=tuple(map(Message.of_json, side["messages"])))
            for side in value["side_conversations"]
        ),
        errors=tuple(value["errors"]),
        tools=tuple(value["tools"]),
        outcome=stored_outcome(entity),
        usage=Usage(**metadata["usage"]),
        session_id=metadata["session_id"],
        models=tuple(metadata["models"]),
        response_ids=description.response_ids,
        previous_response_id=description.previous_response_id,
    )


def _trajectory_metadata(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "session_id": trajectory.session_id,
        "outcome": trajectory.outcome.to_json(),
        "models": list(trajectory.models),
        "tools": tool_versions(trajectory.tools),
        "usage": {
            "prompt_tokens": trajectory.usage.prompt_tokens,
            "completion_tokens": trajectory.usage.completion_tokens,
        },
    }


def _trajectory_content(trajectory: Trajectory | None) -> str:
    if trajectory is None:
        return ""
    value = {
        "messages": [message.to_json() for message in trajectory.messages],
        "side_conversations": [
            {"name": side.name, "messages": [message.to_json() for message in side.messages]}
            for side in trajectory.side_conversations
        ],
        "errors": list(trajectory.errors),
        "tools": list(trajectory.tools),
    }
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TipSource:
    """One piece of evidence for a tip: where in which trace, and the words that show it.

    `outcome` is how the story ended, by what `judged_by` names. `verified` says that the quote was found in
    the trace, `is_suspect` that the story shows an attempt to steer its reader. `story_id` is the trace that
    is learned from, of several that tell one story; where it is empty, the trace itself. `steps` are the
    numbers of the messages of that story that show it, `tools` the versions of the tools that the tip is
    about, `models` those that the agent used.
    """

    source: str
    project: str
    trace_id: str
    span_id: str
    quote: str
    outcome: str
    url: str
    story_id: str = ""
    verified: bool = True
    steps: tuple[int, ...] = ()
    is_suspect: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    judged_by: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "project": self.project,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "quote": self.quote,
            "outcome": self.outcome,
            "judged_by": self.judged_by,
            "url": self.url,
            "story_id": self.story_id,
            "verified": self.verified,
            "steps": list(self.steps),
            "suspect": self.is_suspect,
            "tools": dict(self.tools),
            "models": list(self.models),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTip:
    """A tip as the store has it, or will have it. Changing one gives a new value.

    `created_at` is None until the store has it.
    """

    id: str
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def of(cls, entity: Entity) -> StoredTip:
        return cls(
            id=entity.id,
            content=entity.content,
            metadata=dict(entity.metadata),
            created_at=entity.created_at,
        )

    @classmethod
    def create(
        cls,
        tip_id: str,
        tip: Tip,
        source: TipSource,
        *,
        quarantine_reason: str,
        provenance: Mapping[str, Any],
    ) -> StoredTip:
        metadata = {
            "category": tip.category,
            "rationale": tip.rationale,
            "trigger": tip.trigger,
            "implementation_steps": list(tip.implementation_steps),
            "task_description": tip.task_description,
            "creation_mode": "auto-phoenix",
            "status": "quarantined" if quarantine_reason else "active",
            "quarantine_reason": quarantine_reason,
            **provenance,
        }
        return cls(id=tip_id, content=tip.content, metadata=metadata).with_source(source)

    @property
    def sources(self) -> list[dict[str, Any]]:
        return list(self.metadata.get("sources") or ())

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that an agent may be shown of it."""
        steps = self.metadata.get("implementation_steps") or ()
        others = (self.metadata.get(name) for name in ("trigger", "rationale", "task_description"))
        return (self.content, *(str(text) for text in (*steps, *others) if text))

    @property
    def status(self) -> str:
        return str(self.metadata.get("status") or "active")

    @property
    def trigger(self) -> str:
        return str(self.metadata.get("trigger") or "")

    @property
    def quarantine_reason(self) -> str:
        return str(self.metadata.get("quarantine_reason") or "")

    @property
    def is_manual(self) -> bool:
        return self.metadata.get("creation_mode") == "manual"

    @property
    def is_kept(self) -> bool:
        """Whether it stays without evidence too: a person wrote it, or decided on it."""
        return self.is_manual or bool(self.metadata.get("review"))

    @property
    def stays(self) -> bool:
        """Whether something backs it; else it is deleted."""
        return bool(self.sources) or self.is_kept

    def with_source(self, source: TipSource) -> StoredTip:
        """The tip backed by this story too; a story counts once, however often it is added.

        Evidence that is unverified, or suspect, adds nothing to what a person or sound evidence says, and
        gives way to it. Sound evidence lifts a quarantine for want of a quote, and no other.
        """
        others = [s for s in self.sources if story_of(s) != (source.story_id or source.trace_id)]
        sound = [s for s in others if s.get("verified") and not s.get("suspect")]
        if not source.verified or source.is_suspect:
            return self if self.is_kept or sound else self._with_sources([*others, source.to_json()])
        backed = self._with_sources([*sound, source.to_json()])
        if self.status != "quarantined" or QUOTE_MISSING not in self.quarantine_reason:
            return backed
        reason = without_missing_quote(self.quarantine_reason)
        status = "quarantined" if reason else "active"
        return replace(backed, metadata={**backed.metadata, "status": status, "quarantine_reason": reason})

    def without_story(self, trace_id: str) -> StoredTip:
        """The tip without what was learned from that trace."""
        return self._with_sources([s for s in self.sources if story_of(s) != trace_id])

    def united_with(self, others: Iterable[StoredTip]) -> StoredTip:
        """The tip backed by what backs them too: each story counts once, and no evidence is lost."""
        sources = [source for tip in (self, *others) for source in tip.sources]
        return self._with_sources(list({_evidence_of(source): source for source in sources}.values()))

    def judged(self, story_id: str, outcome: Outcome) -> StoredTip:
        """The tip whose evidence from that story says that outcome; itself where it does already."""
        now = {"outcome": outcome.name, "judged_by": outcome.judged_by}
        sources = [{**s, **now} if story_of(s) == story_id else s for s in self.sources]
        return self if sources == self.sources else self._with_sources(sources)

    def _with_sources(self, sources: list[dict[str, Any]]) -> StoredTip:
        metadata = {
            **self.metadata,
            "sources": sources,
            "support": len(set(map(story_of, sources))),
        }
        if sources and not self.is_manual:
            metadata["source_task_id"] = sources[0]["trace_id"]
            metadata["source_span_id"] = sources[0]["span_id"]
        return replace(self, metadata=metadata)

    def to_put(self) -> Put:
        return Put(id=self.id, type=GUIDELINE, content=self.content, metadata=self.metadata)


def story_of(source: Mapping[str, Any]) -> str:
    """What a piece of evidence counts as; people's has no story."""
    return str(source.get("story_id") or source["trace_id"])


def _evidence_of(source: Mapping[str, Any]) -> tuple[str, str, str]:
    """What tells one piece of evidence from another: the same words of a span count once."""
    return story_of(source), str(source.get("span_id")), str(source.get("quote"))
