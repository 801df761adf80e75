"""The content of a trace's record: its trajectory, less what it repeats of the trace that it continues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kaizen.sync.errors import IncompleteRecordError
from kaizen.sync.model import Conversation, Exposure, Message, Outcome, Trajectory, Usage
from kaizen.sync.trajectory.stories import TraceDescription

if TYPE_CHECKING:
    from kaizen.store import Entity

UNRECORDED_TIPS = "unrecorded_tips"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The trace that another one continues, as it is recorded: what both have is kept with this one."""

    digest: str
    description: TraceDescription
    trajectory: Trajectory


def base_id(entity: Entity) -> str:
    """Return the id of the trace without whose record this one cannot be read; empty if it is whole."""
    metadata: Mapping[str, Any] = entity.metadata
    return str((metadata.get("continues") or {}).get("trace_id", ""))


def trajectory_content(trajectory: Trajectory, base: Trajectory | None = None) -> str:
    """Return the trajectory as JSON; a number stands for so many messages that `base` has at that place."""
    span_id = trajectory.messages[0].span_id if trajectory.messages else ""
    known = base.messages if base else ()
    value = {
        "messages": list(_entries(trajectory.messages, known, span_id)),
        "repeated_span_id": span_id if base else "",
        "side_conversations": [
            {"name": side.name, "messages": [message.to_json() for message in side.messages]}
            for side in trajectory.side_conversations
        ],
        "errors": list(trajectory.errors),
        "tools": None if base and base.tools == trajectory.tools else list(trajectory.tools),
    }
    return json.dumps(value, ensure_ascii=False)


def stored_trajectory(entity: Entity, others: Mapping[str, Entity]) -> Trajectory:
    """Return the (redacted) trajectory that a record with a description keeps.

    `others` are records by trace id, with all that this one is kept as the end of. Raises
    `IncompleteRecordError` if one of those is missing, or is of another version of its trace.
    """
    metadata: Mapping[str, Any] = entity.metadata
    messages: list[Any] = []
    tools: list[str] = []
    value: dict[str, Any] = {}
    repeated: set[int] = set()
    for record in reversed(_with_bases(entity, others)):
        value = json.loads(record.content)
        messages, repeated = _expanded(value["messages"], messages)
        tools = tools if value["tools"] is None else value["tools"]
    of_span = {"span_id": value.get("repeated_span_id", "")}
    told = [{**one, **of_span} if number in repeated else one for number, one in enumerate(messages)]
    description = TraceDescription.of_json(metadata["story"])
    return Trajectory(
        trace_id=metadata["trace_id"],
        messages=tuple(map(Message.of_json, told)),
        side_conversations=tuple(
            Conversation(name=side["name"], messages=tuple(map(Message.of_json, side["messages"])))
            for side in value["side_conversations"]
        ),
        errors=tuple(value["errors"]),
        tools=tuple(tools),
        outcome=Outcome(**metadata.get("outcome", {})),
        usage=Usage(**metadata["usage"]),
        session_id=metadata["session_id"],
        models=tuple(metadata["models"]),
        response_ids=description.response_ids,
        previous_response_id=description.previous_response_id,
        exposures=tuple(map(Exposure.of_json, metadata.get("exposures", ()))),
        has_unrecorded_tips=metadata.get(UNRECORDED_TIPS, False),
    )


def whole_descriptions(
    entities: Iterable[Entity],
    others: Mapping[str, Entity],
    known: Mapping[str, TraceDescription] | None = None,
) -> dict[str, TraceDescription]:
    """Return the descriptions of those records that have one, with all answers if their bases are there.

    `others` are records by trace id, these among them, of which some descriptions are `known`.
    """
    found = dict(known or {})
    for entity in (one for one in entities if one.metadata.get("story")):
        waiting: list[Entity] = []
        next_: Entity | None = entity
        while next_ and str(next_.metadata["trace_id"]) not in found and len(waiting) <= len(others):
            waiting.append(next_)
            next_ = _base(next_, others)
        base = found.get(str(next_.metadata["trace_id"])) if next_ else None
        for record in reversed(waiting):
            metadata: Mapping[str, Any] = record.metadata
            description = TraceDescription.of_json(metadata["story"])
            base = found[description.trace_id] = description.before(base) if base else description
    return found


def _entries(
    messages: Sequence[Message], known: Sequence[Message], span_id: str
) -> list[dict[str, Any] | int]:
    same = [
        message.span_id == span_id and _said(message) == _said(other)
        for message, other in zip(messages, known, strict=False)
    ]
    same += [False] * (len(messages) - len(same))
    entries: list[dict[str, Any] | int] = []
    for is_repeated, group in groupby(zip(same, messages, strict=True), key=lambda pair: pair[0]):
        run = [message for _, message in group]
        entries += [len(run)] if is_repeated else [message.to_json() for message in run]
    return entries


def _said(message: Message) -> tuple[object, ...]:
    return message.role, message.content, message.tool_calls, message.tool_call_id, message.name


def _expanded(entries: Sequence[Any], known: Sequence[Any]) -> tuple[list[Any], set[int]]:
    """Return the messages, and the places of those that are repeated."""
    messages: list[Any] = []
    repeated: set[int] = set()
    for entry in entries:
        begin = len(messages)
        messages += known[begin : begin + entry] if isinstance(entry, int) else [entry]
        if isinstance(entry, int):
            repeated.update(range(begin, len(messages)))
    return messages, repeated


def _with_bases(entity: Entity, others: Mapping[str, Entity]) -> list[Entity]:
    """Return the record, that of the trace that it continues, and so on to one that is whole."""
    found = [entity]
    while wanted := base_id(found[-1]):
        base = _base(found[-1], others)
        # A chain that leads back into itself is no chain that was written.
        if base is None or len(found) > len(others):
            raise IncompleteRecordError(
                f"the record of trace {entity.metadata['trace_id']} repeats that of trace {wanted}, which is "
                "gone or was changed; delete it with `kaizen entities delete`, and the next sync reads the "
                "trace again"
            )
        found.append(base)
    return found


def _base(entity: Entity, others: Mapping[str, Entity]) -> Entity | None:
    """Return the record that this one continues, if it is there in the version that it was written for."""
    base = others.get(base_id(entity))
    if base is None or not base.metadata.get("story"):
        return None
    metadata: Mapping[str, Any] = entity.metadata
    return base if base.metadata["digest"] == metadata["continues"]["digest"] else None
