"""What a sync keeps in the store, and in which form: one record per trace, and claims."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from kaizen.store import Put
from kaizen.sync.model import Outcome, utc_now
from kaizen.sync.state.trajectories import UNRECORDED_TIPS, trajectory_content
from kaizen.sync.trajectory.stories import TraceDescription
from kaizen.sync.trajectory.tool_definitions import tool_versions

if TYPE_CHECKING:
    from kaizen.store import Entity
    from kaizen.sync.model import Trajectory
    from kaizen.sync.settings import SyncSettings
    from kaizen.sync.state.trajectories import Base

TRAJECTORY = "trajectory"
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


class CountedState(NamedTuple):
    """What traces are counted by: state, kind of reason, and for failed ones failures in a row."""

    state: State
    reason: str = ""
    attempts: int = 0

    def is_open(self, settings: SyncSettings) -> bool:
        """Whether traces counted so are tried again although they did not change."""
        if self.state == "failed":
            return self.attempts < settings.max_attempts
        return self.reason == ERRORS_EXCLUDED and settings.include_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRecord:
    """How the processing of a trace ended. `attempts` counts failures in a row.

    `is_gone` says that the source has deleted it since; then it is not counted. `description` is what
    links it with others, where it has a trajectory; `story_id` names the story that it was linked into.
    `learned_from` names the traces, each with its digest, whose joined trajectory was learned from.
    `recorded_in` is the hour of UTC in which it was processed, by which it is asked for again; empty where it
    has no trajectory.
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
    story_id: str = ""
    learned_from: tuple[str, ...] = ()
    recorded_in: str = ""

    @property
    def entity_id(self) -> str:
        return record_id(self.source, self.project, self.trace_id)

    @property
    def is_part(self) -> bool:
        """Whether its story is learned from another trace."""
        return self.reason.startswith(_PART_OF)

    @property
    def head(self) -> str:
        """The trace that its story is learned from, by a record from before stories had names."""
        return self.reason.removeprefix(_PART_OF) if self.is_part and not self.story_id else ""

    @property
    def counted_state(self) -> CountedState | None:
        """What it is counted by; None if it is not counted."""
        return None if self.is_gone else self._counted_state

    @property
    def _counted_state(self) -> CountedState:
        return CountedState(
            self.state, reason_kind(self.reason), self.attempts if self.state == "failed" else 0
        )

    def is_final(self, digest: str, settings: SyncSettings) -> bool:
        """Whether a trace with this digest needs no more work."""
        return self.digest == digest and not self._counted_state.is_open(settings)

    def to_put(
        self, trajectory: Trajectory | None, details: Mapping[str, Any], base: Base | None = None
    ) -> Put:
        """Return the entity that keeps this record, with the (redacted) trajectory as its content.

        What the trace repeats of `base`, which it continues, is left out.
        """
        metadata = {
            "source": self.source,
            "project": self.project,
            "trace_id": self.trace_id,
            "digest": self.digest,
            **self._ending(),
            "recorded_in": self.recorded_in,
            **(self._story_metadata(self.description, base) if self.description else {}),
            **(_trajectory_metadata(trajectory) if trajectory else {}),
            **details,
        }
        content = trajectory_content(trajectory, base.trajectory if base else None) if trajectory else ""
        return Put(id=self.entity_id, type=TRAJECTORY, content=content, metadata=metadata)

    def rebased(
        self, entity: Entity, description: TraceDescription, trajectory: Trajectory, base: Base | None
    ) -> Put:
        """Return the stored record of a trace that continues another one now, or none any more."""
        metadata: dict[str, Any] = {k: v for k, v in entity.metadata.items() if k != "continues"}
        metadata |= self._story_metadata(description, base)
        content = trajectory_content(trajectory, base.trajectory if base else None)
        return Put(id=entity.id, type=entity.type, content=content, metadata=metadata)

    def _ending(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason,
            "attempts": self.attempts,
            "tip_ids": list(self.tip_ids),
            "story_id": self.story_id,
            # The stored name is older than the field's.
            "told_by": list(self.learned_from),
        }

    def updated(self, entity: Entity | Put, details: Mapping[str, Any]) -> Put:
        """Return the stored record of a trace whose place in its story changed, while the trace did not."""
        return put_again(entity, {**entity.metadata, **self._ending(), **details})

    def _story_metadata(self, description: TraceDescription, base: Base | None) -> dict[str, Any]:
        continues = {}
        if base:
            description = description.after(base.description)
            continues = {"continues": {"trace_id": base.description.trace_id, "digest": base.digest}}
        keys = (story_key(self.source, self.project, key) for key in description.keys)
        return {"story": description.to_json(), "story_keys": dict.fromkeys(keys, True), **continues}

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
            story_id=metadata.get("story_id") or "",
            learned_from=tuple(metadata.get("told_by") or ()),
            recorded_in=metadata.get("recorded_in") or "",
        )


def record_id(source: str, project: str, trace_id: str) -> str:
    """`trajectory:<source>:<project>:<trace_id>`, the project percent-encoded where it must be."""
    return f"{TRAJECTORY}:{source}:{project_part(project)}:{trace_id}"


def comparison_id(source: str, project: str, key: str) -> str:
    """`comparison:<source>:<project>:<key>`: what was asked about two runs that ended differently."""
    return f"comparison:{source}:{project_part(project)}:{key}"


def project_part(project: str) -> str:
    """The project as a part of an id."""
    return quote(project, safe=" /@+")


def reason_kind(reason: str) -> str:
    """Return the reason without what differs from trace to trace: attributes, errors, ids."""
    kind = reason.partition(":")[0]
    return "part of another trace" if kind.startswith(_PART_OF) else kind


def part_reason(story_id: str) -> str:
    """Return the reason of a trace whose story is learned from another one.

    It names the story and not that trace: a story that grows at its end leaves its parts as they are.
    """
    kind, _, name = story_id.partition(":")
    return f"{_PART_OF}{'session' if kind == 'session' else 'the conversation that begins with'} {name}"


def old_part_reason(head: str) -> str:
    """Return the reason of a part in records from before stories had names."""
    return f"{_PART_OF}{head}"


def story_key(source: str, project: str, key: str) -> str:
    """The name below `story_keys` in the metadata under which traces with that key are looked up."""
    return hashlib.blake2b(repr((source, project, key)).encode(), digest_size=8).hexdigest()


def called_tools(names: Iterable[str]) -> dict[str, bool]:
    """Return the metadata by which the stories that called a tool are found: see `called_path`."""
    return {_tool_key(name): True for name in sorted(set(names))}


def called_path(tool: str) -> str:
    """Return the path in the metadata of a story's head that is true if a tool was called in it."""
    return f"called.{_tool_key(tool)}"


def judged_tools(entity: Entity | None) -> set[str]:
    """Return the tools that a story called, by the record of its head, if its outcome is known."""
    if entity is None or entity.type != TRAJECTORY or stored_outcome(entity).name == "unknown":
        return set()
    metadata: Mapping[str, Any] = entity.metadata
    return {call[0] for conversation in metadata.get("calls") or () for call in conversation}


def _tool_key(name: str) -> str:
    # A name may have dots, which separate the parts of a path.
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def start_of(entity: Entity) -> str:
    """Return when the trace of a record with a description started."""
    metadata: Mapping[str, Any] = entity.metadata
    return str(metadata["story"]["start_time"])


def mark_gone(entity: Entity, *, gone: bool) -> Put:
    """Return the record of a trace that the source has deleted, or has again; all else stays as it is."""
    metadata = {key: value for key, value in entity.metadata.items() if key != "gone"}
    if gone:
        metadata["gone"] = True
    return put_again(entity, metadata)


def put_again(entity: Entity | Put, metadata: Mapping[str, Any]) -> Put:
    """Return the entity with other metadata."""
    return Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)


def stored_outcome(entity: Entity) -> Outcome:
    """Return how a trace ended by its record; unknown if it has no trajectory."""
    metadata: Mapping[str, Any] = entity.metadata
    return Outcome(**metadata.get("outcome", {}))


def _trajectory_metadata(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "session_id": trajectory.session_id,
        "outcome": trajectory.outcome.to_json(),
        "models": list(trajectory.models),
        "tools": tool_versions(trajectory.tools),
        "usage": asdict(trajectory.usage),
        **({"exposures": [one.to_json() for one in trajectory.exposures]} if trajectory.exposures else {}),
        **({UNRECORDED_TIPS: True} if trajectory.has_unrecorded_tips else {}),
    }


# A host that is gone cannot say so; a run that is at work renews its claim every minute.
_EXPIRES = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The traces that one run has under way. It lapses when its process is gone, or is not renewed."""

    run_id: str
    source: str
    project: str
    trace_ids: frozenset[str] = frozenset()
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    at: datetime = field(default_factory=utc_now)

    @property
    def id(self) -> str:
        return f"{CLAIM}:{self.run_id}"

    def is_alive(self, now: datetime) -> bool:
        """Whether the run that made it is still at work, as far as can be told from here."""
        # Also of a process that is there: its number may be another's by now.
        if now - self.at > _EXPIRES:
            return False
        return self.host != socket.gethostname() or _is_running(self.pid)

    def to_put(self) -> Put:
        metadata = {**asdict(self), "trace_ids": sorted(self.trace_ids), "at": self.at.isoformat()}
        return Put(id=self.id, type=CLAIM, content="", metadata=metadata)

    @classmethod
    def of(cls, entity: Entity) -> Claim:
        metadata: Mapping[str, Any] = entity.metadata
        trace_ids, at = frozenset(metadata["trace_ids"]), datetime.fromisoformat(metadata["at"])
        return cls(**{**metadata, "trace_ids": trace_ids, "at": at})


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
