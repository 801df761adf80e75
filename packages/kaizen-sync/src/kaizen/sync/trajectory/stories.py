"""Stories: traces that belong to one conversation, traced call by call or session by session.

Traces are one story if they share a session id, if one follows a response of another, or if the whole
conversation of one, its last answer included, is the history that another one was given, which started later.
A trace continues one other only, the one that has most of its history, and is continued by one: two runs that
began alike stay two stories.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import takewhile
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
    `earlier` answers are left out if another trace has them. The first `repeated` of all were given to the
    trace with its first call: another trace gave these answers.
    """

    trace_id: str
    start_time: str
    session_id: str = ""
    answers: tuple[str, ...] = ()
    earlier: int = 0
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
        return self.answers[:-1][: max(self.repeated - self.earlier, 0)]

    @property
    def answer_count(self) -> int:
        """Return how many answers the conversation has, those left out included."""
        return self.earlier + len(self.answers)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys by which this trace is found; each is looked up exactly."""
        return (*self._own_keys, *self._history_keys)

    @property
    def _own_keys(self) -> tuple[str, ...]:
        by_session = [f"session:{self.session_id}"] if self.session_id else []
        by_answer = [f"whole:{self.whole}"] if self.answers and not self.session_id else []
        by_response = [f"response:{response_id}" for response_id in self.response_ids]
        if self.previous_response_id:
            by_response.append(f"follows:{self.previous_response_id}")
        return (*by_session, *by_answer, *by_response)

    @property
    def _history_keys(self) -> tuple[str, ...]:
        return () if self.session_id else tuple(f"begins:{answer}" for answer in self.history)

    def after(self, base: TraceDescription) -> TraceDescription:
        """Return the description without the answers before the last one of `base`, which this continues."""
        known = self.answers.index(base.whole)
        return replace(self, answers=self.answers[known:], earlier=self.earlier + known)

    def before(self, base: TraceDescription) -> TraceDescription:
        """Return the description with the answers that `base` has and this left out: undo `after`."""
        answers = base.answers[: self.earlier - base.earlier]
        return replace(self, answers=answers + self.answers, earlier=base.earlier)

    def to_json(self) -> dict[str, Any]:
        values = asdict(self).items()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> TraceDescription:
        # Stores of before `repeated` was counted took all answers of a trace for given ones.
        known = {"repeated": len(value["answers"]), "earlier": 0, **value}
        values = ((one.name, known[one.name]) for one in fields(cls))
        own: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values}
        return cls(**own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Traces of one conversation. Support counts `story_id`, not traces.

    `head` is the trace that is learned from, the longest; `parts` are the others. `told_by` are those whose
    messages make up the story, in order of time: what the others hold is in these. `story_id` names the
    session, or the trace with which the story begins: it stays while a story grows at its end. `continued`
    gives for each trace that repeats another one's conversation which one that is.
    """

    story_id: str
    head: str
    parts: tuple[str, ...]
    told_by: tuple[str, ...]
    continued: Mapping[str, str] = field(default_factory=dict)


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


def keys_of(traces: Iterable[TraceDescription]) -> set[str]:
    """Return the keys of all these traces."""
    found: set[str] = set()
    for one in traces:
        found.update(one._own_keys)
        # An answer's hash stands for all before it: if it is there, so are theirs.
        found.update(takewhile(lambda key: key not in found, reversed(one._history_keys)))
    return found


def related_key(key: str) -> str:
    """Return the key of traces that may belong to the story of one that has this key."""
    kind, _, value = key.partition(":")
    return f"{_RELATED.get(kind, kind)}:{value}"


_RELATED = {"whole": "begins", "begins": "whole", "response": "follows", "follows": "response"}


def related(
    new: Iterable[TraceDescription],
    with_key: Callable[[str], Iterable[TraceDescription]],
    companions: Callable[[TraceDescription], Sequence[TraceDescription]] = lambda _: (),
) -> list[TraceDescription]:
    """Return the new traces and all known ones that may share a story with them, by exact look-ups.

    `with_key` returns the known traces that have a key among their `keys`; `companions` those of the story
    that a known trace was recorded in, itself included, and nothing if it was in none. A new description
    replaces a known one of the same trace.
    """
    search = _Search(with_key, companions)
    waiting = [one for one in new if search.add(one)]
    while waiting:
        waiting += search.look_from(waiting.pop())
    return list(search.found.values())


class _Search:
    """Looks up the traces around others, each key once."""

    def __init__(
        self,
        with_key: Callable[[str], Iterable[TraceDescription]],
        companions: Callable[[TraceDescription], Sequence[TraceDescription]],
    ) -> None:
        self.found: dict[str, TraceDescription] = {}
        self._ended: defaultdict[str, list[TraceDescription]] = defaultdict(list)
        self._asked: set[str] = set()
        self._with_key = with_key
        self._companions = companions

    def add(self, one: TraceDescription) -> bool:
        if one.trace_id in self.found:
            return False
        self.found[one.trace_id] = one
        self._ended[one.whole].append(one)
        return True

    def look_from(self, one: TraceDescription) -> Iterator[TraceDescription]:
        """Add the traces next to this one; yield those whose own surroundings are not known."""
        for key in one._own_keys:
            yield from self._ask(related_key(key))
        if one.session_id or not one.answers:
            return
        yield from self._ask_both(one.whole)
        # No further back than to the first answer that a trace before this one ended with.
        for answer in reversed(one.history):
            yield from self._ask(f"whole:{answer}")
            if any(_order(other) < _order(one) for other in self._ended[answer]):
                yield from self._ask_both(answer)
                return

    def _ask_both(self, answer: str) -> Iterator[TraceDescription]:
        """Ask for the traces that end with an answer and for those that go on from it: they compete."""
        yield from self._ask(f"whole:{answer}")
        yield from self._ask(f"begins:{answer}")

    def _ask(self, key: str) -> Iterator[TraceDescription]:
        if key in self._asked:
            return
        self._asked.add(key)
        for known in self._with_key(key):
            if self.add(known):
                others = self._companions(known)
                for other in others:
                    self.add(other)
                if not others:
                    yield known


def link(descriptions: Iterable[TraceDescription]) -> list[Story]:
    """Return the stories of these traces, each trace in exactly one, whatever order they come in."""
    traces = sorted(descriptions, key=_order)
    continued = _continued(traces)
    groups = _Groups(len(traces))
    for one, other in (*_links(traces), *continued.items()):
        groups.join(one, other)
    names = {traces[one].trace_id: traces[other].trace_id for one, other in continued.items()}
    return [_story([traces[number] for number in group], names) for group in groups.all()]


def _order(description: TraceDescription) -> tuple[str, int, str]:
    """Return what orders traces: of two that began together the longer one may continue the other."""
    return description.start_time, description.answer_count, description.trace_id


def _links(traces: Sequence[TraceDescription]) -> Iterable[tuple[int, int]]:
    """Yield the pairs that share a session or follow each other's response."""
    sessions: dict[str, int] = {}
    responses: dict[str, int] = {}
    for number, one in enumerate(traces):
        if one.session_id:
            yield sessions.setdefault(one.session_id, number), number
        for response_id in one.response_ids:
            yield responses.setdefault(response_id, number), number
    for number, one in enumerate(traces):
        if one.previous_response_id in responses:
            yield responses[one.previous_response_id], number


def _continued(traces: Sequence[TraceDescription]) -> dict[int, int]:
    """Return for each trace that continues another one which it continues."""
    ended: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    continued: dict[int, int] = {}
    taken: set[int] = set()
    # In order of time, so that only earlier ones have ended.
    for number, one in enumerate(traces):
        known = ((one.session_id, answer) for answer in reversed(one.history))
        candidates = next((ended[key] for key in known if key in ended), [])
        # The newest of those that ended so, each of which only one goes on from.
        open_ = [other for other in candidates if other not in taken]
        if open_:
            continued[number] = open_[-1]
            taken.add(open_[-1])
        ended[one.session_id, one.whole].append(number)
    return continued


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


def _story(traces: Sequence[TraceDescription], continued: Mapping[str, str]) -> Story:
    """Return the story of traces that are in order of time."""
    last: dict[str, tuple[str, int, str]] = {}
    for one in reversed(traces):
        for answer in reversed(one.history):
            if answer in last:
                break
            last[answer] = _order(one)
    told_by = [one for one in traces if last.get(one.whole, ("", 0, "")) <= _order(one)]
    head = max(told_by, key=lambda one: (one.answer_count, _order(one)))
    sessions = sorted(one.session_id for one in traces if one.session_id)
    ids = [one.trace_id for one in traces]
    return Story(
        story_id=f"session:{sessions[0]}" if sessions else f"trace:{ids[0]}",
        head=head.trace_id,
        parts=tuple(trace_id for trace_id in ids if trace_id != head.trace_id),
        told_by=tuple(one.trace_id for one in told_by),
        continued={trace_id: continued[trace_id] for trace_id in ids if trace_id in continued},
    )


def joined(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Return the trajectory of a story from those of its traces in order of time, no message twice.

    It bears the id of the one with the most answers, of several the last. All must be redacted, or none.
    """
    # The same messages, not others that are equal: what was read of them is known then.
    [first, *others] = trajectories
    messages = tuple(_unrepeated(trajectories)) if others else first.messages
    answers = [sum(message.role == "assistant" for message in one.messages) for one in trajectories]
    head = trajectories[max(range(len(answers)), key=lambda number: (answers[number], number))]
    return replace(
        head,
        messages=messages,
        side_conversations=tuple(side for one in trajectories for side in one.side_conversations),
        errors=tuple(dict.fromkeys(error for one in trajectories for error in one.errors)),
        tools=tuple(dict.fromkeys(tool for one in trajectories for tool in one.tools)),
        models=tuple(dict.fromkeys(model for one in trajectories for model in one.models)),
        outcome=trajectories[-1].outcome,
        usage=sum((one.usage for one in trajectories), Usage()),
        exposures=merge_exposures(exposure for one in trajectories for exposure in one.exposures),
    )


def _unrepeated(trajectories: Sequence[Trajectory]) -> Iterator[Message]:
    """Yield the messages of each trajectory that none before it has."""
    seen: set[str] = set()
    systems: set[str] = set()
    for trajectory in trajectories:
        rolled = _rolled(trajectory.messages)
        known = max((number for number, value in enumerate(rolled) if value in seen), default=-1)
        for number, message in enumerate(trajectory.messages):
            is_known = message.content in systems if message.role == "system" else number <= known
            if not is_known:
                yield message
        systems.update(message.content for message in trajectory.messages if message.role == "system")
        seen.update(filter(None, rolled))
