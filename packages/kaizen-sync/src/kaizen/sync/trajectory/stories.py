"""Stories: traces that belong to one conversation, traced call by call or session by session.

Traces are one story if they share a session id, if one follows a response of another, or if the whole
conversation of one, its last answer included, is the history that another one was given, which started later.
A trace continues one other only, and is continued by one: two runs that began alike stay two stories.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from kaizen.sync.model import Message, Trajectory, Usage
from kaizen.sync.trajectory.json_text import canonical_arguments
from kaizen.sync.trajectory.recalled import merge_exposures

# 64 bits, which tell apart the answers of any project.
_HASH_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDescription:
    """What links a trace with others; about 20 bytes for each answer in it.

    `answers` are hashes of the main conversation up to and including each answer in it, in order: the last
    one stands for the whole. System messages do not count, since agents write the time into them. The first
    `repeated` of them were given to the trace with its first call: another trace gave these answers.
    """

    trace_id: str
    start_time: str
    session_id: str = ""
    answers: tuple[str, ...] = ()
    repeated: int = 0
    response_ids: tuple[str, ...] = ()
    previous_response_id: str = ""

    @property
    def whole(self) -> str:
        """Return the hash of the whole conversation; empty if nothing was answered."""
        return self.answers[-1] if self.answers else ""

    @property
    def history(self) -> tuple[str, ...]:
        """Return the hashes of what came before this trace."""
        return self.answers[:-1][: self.repeated]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys by which this trace is found; each is looked up exactly."""
        own = [f"session:{self.session_id}"] if self.session_id else []
        if not self.session_id and self.answers:
            own += [f"whole:{self.whole}", *(f"begins:{answer}" for answer in self.history)]
        own += [f"response:{one}" for one in self.response_ids]
        return tuple(own + ([f"follows:{self.previous_response_id}"] if self.previous_response_id else []))

    @property
    def related_keys(self) -> tuple[str, ...]:
        """Return the keys of traces that may belong to the same story."""
        swapped = {"whole": "begins", "begins": "whole", "response": "follows", "follows": "response"}
        parts = (key.partition(":") for key in self.keys)
        return tuple(f"{swapped.get(kind, kind)}:{value}" for kind, _, value in parts)

    def to_json(self) -> dict[str, Any]:
        values = asdict(self).items()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> TraceDescription:
        # Stores of before `repeated` was counted took all answers of a trace for given ones.
        known = {"repeated": len(value["answers"]), **value}
        values = ((field.name, known[field.name]) for field in fields(cls))
        own: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values}
        return cls(**own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Traces of one conversation. Support counts `story_id`, not traces.

    `head` is the trace that is learned from, the longest; `parts` are the others. `told_by` are those whose
    messages make up the story, in order of time: what the others hold is in these. `story_id` names the
    session, or the trace with which the story begins: it stays while a story grows at its end.
    """

    story_id: str
    head: str
    parts: tuple[str, ...]
    told_by: tuple[str, ...]


def describe(trajectory: Trajectory, start_time: datetime) -> TraceDescription:
    """Return the description of a trace from its trajectory: always as built, or always as redacted."""
    return TraceDescription(
        trace_id=trajectory.trace_id,
        start_time=start_time.astimezone(UTC).isoformat(timespec="microseconds"),
        session_id=trajectory.session_id,
        answers=tuple(
            rolled
            for message, rolled in zip(trajectory.messages, _rolled(trajectory.messages), strict=True)
            if message.role == "assistant"
        ),
        repeated=_repeated_answers(trajectory.messages),
        # Nothing ever follows a chat completion by its id.
        response_ids=tuple(one for one in trajectory.response_ids if not one.startswith("chatcmpl")),
        previous_response_id=trajectory.previous_response_id,
    )


def _repeated_answers(messages: Sequence[Message]) -> int:
    """Return how many answers were given to the first call of a trace: those before its last message.

    Where one span recorded a whole run, its history and its own answers look alike.
    """
    first = messages[0].span_id if messages else ""
    last = max((n for n, message in enumerate(messages) if message.span_id == first), default=0)
    return sum(message.role == "assistant" for message in messages[:last])


def _rolled(messages: Sequence[Message]) -> list[str]:
    """Return for each message a hash of the conversation up to it, the same in every process."""
    rolled: list[str] = []
    value = ""
    for message in messages:
        if message.role != "system":
            calls = [(call.id, call.name, canonical_arguments(call.arguments)) for call in message.tool_calls]
            # By `repr`, so that no text can imitate the border between two.
            told = repr((value, message.role, message.content.strip(), calls))
            value = hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=_HASH_CHARS // 2).hexdigest()
        rolled.append(value)
    return rolled


def related(
    new: Iterable[TraceDescription], with_key: Callable[[str], Iterable[TraceDescription]]
) -> list[TraceDescription]:
    """Return the new traces and all known ones that may share a story with them, by exact look-ups.

    `with_key` returns the known traces that have a key among their `keys`. A new description replaces a known
    one of the same trace.
    """
    found = {one.trace_id: one for one in new}
    waiting = list(found.values())
    asked: set[str] = set()
    while waiting:
        for key in waiting.pop().related_keys:
            if key in asked:
                continue
            asked.add(key)
            for known in with_key(key):
                if known.trace_id not in found:
                    found[known.trace_id] = known
                    waiting.append(known)
    return list(found.values())


def link(descriptions: Iterable[TraceDescription]) -> list[Story]:
    """Return the stories of these traces, each trace in exactly one, whatever order they come in."""
    traces = sorted(descriptions, key=_order)
    groups = _Groups(len(traces))
    for one, other in _links(traces):
        groups.join(one, other)
    return [_story([traces[number] for number in group]) for group in groups.all()]


def _order(description: TraceDescription) -> tuple[str, str]:
    return description.start_time, description.trace_id


def _links(traces: Sequence[TraceDescription]) -> Iterable[tuple[int, int]]:
    sessions: dict[str, int] = {}
    responses: dict[str, int] = {}
    begun: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, one in enumerate(traces):
        if one.session_id:
            yield sessions.setdefault(one.session_id, number), number
        for response_id in one.response_ids:
            yield responses.setdefault(response_id, number), number
        begun[one.session_id, one.whole].append(number)
    for number, one in enumerate(traces):
        if one.previous_response_id in responses:
            yield responses[one.previous_response_id], number
        for answer in one.history:
            # The newest of those that ended so, each of which only one goes on from: in order of time.
            begun_so = begun.get((one.session_id, answer), [])
            if earlier := [other for other in begun_so if other < number]:
                yield earlier[-1], number
                begun_so.remove(earlier[-1])


class _Groups:
    """Numbers joined into groups."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self._top(one), self._top(other)))
        self._parents[second] = first

    def _top(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def all(self) -> Iterable[list[int]]:
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for number in range(len(self._parents)):
            groups[self._top(number)].append(number)
        return groups.values()


def _story(traces: Sequence[TraceDescription]) -> Story:
    """Return the story of traces that are in order of time."""
    last = {answer: _order(one) for one in traces for answer in one.history}
    told_by = [one for one in traces if last.get(one.whole, ("", "")) <= _order(one)]
    head = max(told_by, key=lambda one: (len(one.answers), _order(one)))
    sessions = sorted(one.session_id for one in traces if one.session_id)
    return Story(
        story_id=f"session:{sessions[0]}" if sessions else f"trace:{traces[0].trace_id}",
        head=head.trace_id,
        parts=tuple(one.trace_id for one in traces if one is not head),
        told_by=tuple(one.trace_id for one in told_by),
    )


def joined(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Return the trajectory of a story from those of its traces in order of time, no message twice.

    It bears the id of the one with the most answers, of several the last. All must be redacted, or none.
    """
    seen: set[str] = set()
    messages: list[Message] = []
    systems: set[str] = set()
    for trajectory in trajectories:
        rolled = _rolled(trajectory.messages)
        known = max((number for number, value in enumerate(rolled) if value in seen), default=-1)
        for number, message in enumerate(trajectory.messages):
            is_known = message.content in systems if message.role == "system" else number <= known
            if not is_known:
                messages.append(message)
        systems.update(message.content for message in trajectory.messages if message.role == "system")
        seen.update(filter(None, rolled))
    answers = [sum(message.role == "assistant" for message in one.messages) for one in trajectories]
    head = trajectories[max(range(len(answers)), key=lambda number: (answers[number], number))]
    return replace(
        head,
        messages=tuple(messages),
        side_conversations=tuple(side for one in trajectories for side in one.side_conversations),
        errors=tuple(dict.fromkeys(error for one in trajectories for error in one.errors)),
        tools=tuple(dict.fromkeys(tool for one in trajectories for tool in one.tools)),
        models=tuple(dict.fromkeys(model for one in trajectories for model in one.models)),
        outcome=trajectories[-1].outcome,
        usage=sum((one.usage for one in trajectories), Usage()),
        exposures=merge_exposures(exposure for one in trajectories for exposure in one.exposures),
    )
