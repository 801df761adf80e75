"""How far a sync has read a project: where the next one starts, what waits, and what became of the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.store import Put
from kaizen.sync.model import Anchor
from kaizen.sync.state.records import CHECKPOINT, CountedState, project_part
from kaizen.sync.state.rejudge_schedule import Ask
from kaizen.sync.trajectory.tool_definitions import Offered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen.store import Entity
    from kaizen.sync.settings import SyncSettings

# How many waiting traces a checkpoint names; if more wait, the next index starts at the oldest of them.
WAITING = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything up to the row `anchor` is recorded, waits, or was seen to be as it was recorded.

    `state_counts` counts the records of the project as of `version` of the namespace. `waiting` names traces
    without a final record, `deferred` counts them all. `spans` is about how many the project has. `tools` are
    those that its agents were offered last, by name.
    `index_from` and `full_at` are where the next index starts, and when the last one was a whole one.
    `asks` are the hours whose traces are asked for again. `exposures_changed` counts records of experiments
    that changed since verdicts were made by them. `is_to_compare` says that the model could not
    be asked yet about runs that ended differently.
    """

    source: str
    project: str
    anchor: Anchor | None = None
    index_from: datetime | None = None
    waiting: tuple[str, ...] = ()
    deferred: int = 0
    spans: int = 0
    full_at: datetime | None = None
    server_version: str = ""
    state_counts: Counter[CountedState] = field(default_factory=Counter)
    tools: Mapping[str, Offered] = field(default_factory=dict)
    asks: tuple[Ask, ...] = ()
    exposures_changed: int = 0
    is_to_compare: bool = False
    version: int = 0

    @property
    def entity_id(self) -> str:
        return checkpoint_id(self.source, self.project)

    def open_states(self, settings: SyncSettings) -> set[CountedState]:
        """Return the states of traces that are tried again although nothing is new."""
        return {state for state, traces in self.state_counts.items() if traces and state.is_open(settings)}

    def is_equivalent_to(self, other: Checkpoint) -> bool:
        """Whether both are equal but for the version and the time of the last whole index."""
        return replace(self, version=0, full_at=None) == replace(other, version=0, full_at=None)

    def to_put(self) -> Put:
        metadata: dict[str, Any] = {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "anchor": {"row": self.anchor.row, "span_id": self.anchor.span_id} if self.anchor else None,
            "index_from": _text(self.index_from),
            "waiting": list(self.waiting),
            "full_at": _text(self.full_at),
            # The stored name is older than the field's.
            "endings": [
                {**counted._asdict(), "traces": traces}
                for counted, traces in sorted(self.state_counts.items())
                if traces
            ],
            "tools": {name: offered._asdict() for name, offered in sorted(self.tools.items())},
            "asks": [ask.to_json() for ask in self.asks],
        }
        del metadata["state_counts"]
        return Put(id=self.entity_id, type=CHECKPOINT, content="", metadata=metadata)

    @classmethod
    def of(cls, entity: Entity) -> Checkpoint:
        metadata: Mapping[str, Any] = entity.metadata
        anchor = metadata["anchor"]
        return cls(
            source=metadata["source"],
            project=metadata["project"],
            anchor=Anchor(row=anchor["row"], span_id=anchor["span_id"]) if anchor else None,
            index_from=_time(metadata["index_from"]),
            waiting=tuple(metadata["waiting"]),
            deferred=metadata["deferred"],
            spans=metadata["spans"],
            full_at=_time(metadata["full_at"]),
            server_version=metadata["server_version"],
            state_counts=Counter(
                {
                    CountedState(e["state"], e["reason"], e["attempts"]): e["traces"]
                    for e in metadata["endings"]
                }
            ),
            tools={name: Offered(**offered) for name, offered in (metadata.get("tools") or {}).items()},
            asks=tuple(map(Ask.of_json, metadata.get("asks") or ())),
            exposures_changed=metadata.get("exposures_changed", 0),
            is_to_compare=metadata.get("is_to_compare", False),
            version=metadata["version"],
        )


@dataclass(slots=True)
class Waiting:
    """The traces that a run leaves for a later one: those it can name, and when the oldest started."""

    trace_ids: list[str] = field(default_factory=list)
    oldest: datetime | None = None
    traces: int = 0

    def add(self, trace_id: str, start_time: datetime | None) -> None:
        """Note one trace; one whose start is not known may be as old as the project."""
        if self.traces == 0:
            self.oldest = start_time
        elif self.oldest is not None:
            self.oldest = None if start_time is None else min(self.oldest, start_time)
        self.traces += 1
        if self.traces <= WAITING:
            self.trace_ids.append(trace_id)

    def index_from(self, newest: datetime | None, overlap: timedelta) -> datetime | None:
        """Where the next index starts: an overlap before the newest trace, or at the oldest that waits."""
        usual = newest - overlap if newest is not None else None
        if self.traces <= WAITING:
            return usual
        if usual is None or self.oldest is None:
            return None
        return min(self.oldest, usual)

    def named(self) -> tuple[str, ...]:
        return tuple(self.trace_ids) if self.traces <= WAITING else ()


def checkpoint_id(source: str, project: str) -> str:
    """`checkpoint:<source>:<project>`, the project percent-encoded where it must be."""
    return f"{CHECKPOINT}:{source}:{project_part(project)}"


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
