"""The conversations of a trace: model calls that continue one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kaizen.sync.trajectory.json_text import canonical_arguments

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span, Trace
    from kaizen.sync.trajectory.calls import ModelCall

_Key = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Thread:
    """One conversation while it grows.

    `around` are the ids of the AGENT and TOOL spans that it runs in, from the innermost. `given` counts what
    its newest call was given, without system messages; `marks` are where the index knows it.
    """

    name: str
    messages: list[Message]
    around: tuple[str, ...] = ()
    is_in_tool: bool = False
    system: tuple[str, ...] = ()
    given: int = 0
    answer: Message | None = None
    marks: list[_Key] = field(default_factory=list)


def build_threads(trace: Trace, calls: Iterable[ModelCall]) -> list[Thread]:
    """Return the conversations that model calls form, in the order in which they began."""
    spans = {span.span_id: span for span in trace.spans}
    index = _Index()
    threads: list[Thread] = []
    for call in calls:
        if not call.given and call.answer is None:
            continue
        system = tuple(message.content for message in call.given if message.role == "system")
        given = [message for message in call.given if message.role != "system"]
        keys = index.keys(given)
        around = _around(call, spans)
        thread, new = index.find(call, given, keys, system, _ids(around))
        if thread is None:
            thread = _new_thread(call, around, system)
            threads.append(thread)
        else:
            changed = [m for m in call.given if m.role == "system"] if system != thread.system else []
            _extend(thread, new, changed)
            thread.system = system or thread.system
        thread.given, thread.answer = len(given), call.answer
        if call.answer is not None:
            thread.messages.append(call.answer)
        index.put(thread, call, keys)
    return threads


class _Index:
    """The newest state of each conversation by hash: a trace may hold thousands of calls."""

    def __init__(self) -> None:
        self._threads: defaultdict[_Key, dict[int, Thread]] = defaultdict(dict)
        self._arguments: dict[str, str] = {}

    def keys(self, messages: Sequence[Message]) -> list[_Key]:
        """Return keys that are equal for the same message given again: role, text, calls without ids."""
        return [
            (m.role, m.content.strip(), *((c.name, self._canonical(c.arguments)) for c in m.tool_calls))
            for m in messages
        ]

    def _canonical(self, arguments: str) -> str:
        known = self._arguments.get(arguments)
        if known is None:
            known = self._arguments[arguments] = canonical_arguments(arguments)
        return known

    def put(self, thread: Thread, call: ModelCall, keys: Sequence[_Key]) -> None:
        for mark in thread.marks:
            del self._threads[mark][id(thread)]
        thread.marks = list(self._marks(thread, call, keys))
        for mark in thread.marks:
            self._threads[mark][id(thread)] = thread

    def _marks(self, thread: Thread, call: ModelCall, keys: Sequence[_Key]) -> Iterator[_Key]:
        if keys:
            yield ("given" if call.answer else "unanswered", _rolled(keys)[-1])
        yield ("agent", thread.around)
        if call.answer is None:
            return
        [answer] = self.keys([call.answer])
        if keys:
            yield ("answered", _rolled(keys)[-1], answer)
            yield ("exchange", keys[-1], answer)
        else:
            yield ("opening", thread.system, answer)
        if call.response_id:
            yield ("response", call.response_id)
        for asked in {asked.id for asked in call.answer.tool_calls}:
            yield ("call", asked)

    def find(
        self,
        call: ModelCall,
        given: list[Message],
        keys: Sequence[_Key],
        system: tuple[str, ...],
        around: tuple[str, ...],
    ) -> tuple[Thread | None, list[Message]]:
        """Return the conversation that a call continues, and the messages that are new in it."""
        thread = self._continued(keys)
        if thread is not None:
            return thread, given[thread.given :]
        if keys and (thread := self._newest(("opening", system, keys[0]))):
            return thread, given
        for i in range(len(keys) - 1, 0, -1):
            # Agents drop old messages to save room, and span limits drop the oldest attributes.
            if thread := self._newest(("exchange", keys[i - 1], keys[i])):
                return thread, given[i:]
        # The Responses API keeps the history on its side: such a call is given only what is new.
        if call.previous_response_id and (thread := self._newest(("response", call.previous_response_id))):
            return thread, given
        if call.is_delta:
            return self._newest(("agent", around)), given
        if not given or any(message.role != "tool" for message in given):
            return None, given
        return self._awaiting(given), given

    def _continued(self, keys: Sequence[_Key]) -> Thread | None:
        """Return the conversation with the longest history that these messages begin with.

        The same messages once more are a retry if there was no answer, otherwise a call of its own.
        """
        rolled = _rolled(keys)
        for length in range(len(rolled), 0, -1):
            so_far = rolled[length - 1]
            marks: list[_Key] = [("unanswered", so_far)]
            if length < len(rolled):
                # An answer may come back in other words, but not where another conversation knows these.
                marks = [("answered", so_far, keys[length]), ("given", so_far), *marks]
            for mark in marks:
                if found := self._threads.get(mark):
                    return next(iter(found.values()))
        return None

    def _awaiting(self, results: Sequence[Message]) -> Thread | None:
        """Return the newest conversation whose calls these results all answer."""
        thread = self._newest(("call", results[0].tool_call_id))
        called = {call.id for call in thread.answer.tool_calls} if thread and thread.answer else set()
        return thread if all(message.tool_call_id in called for message in results) else None

    def _newest(self, mark: _Key) -> Thread | None:
        found = self._threads.get(mark)
        return next(reversed(found.values())) if found else None


def _rolled(keys: Sequence[_Key]) -> list[int]:
    """Return a hash for each prefix of the keys."""
    rolled: list[int] = []
    value = 0
    for key in keys:
        value = hash((value, key))
        rolled.append(value)
    return rolled


def _around(call: ModelCall, spans: Mapping[str, Span]) -> list[Span]:
    """Return the AGENT and TOOL spans around a call, from the innermost."""
    own = {layer.span_id for layer in call.layers if layer.kind == "TOOL"}
    outer = ancestors(call.span, spans)
    return [span for span in outer if span.kind in ("AGENT", "TOOL") and span.span_id not in own]


def _ids(spans: Iterable[Span]) -> tuple[str, ...]:
    return tuple(span.span_id for span in spans)


def _new_thread(call: ModelCall, around: Sequence[Span], system: tuple[str, ...]) -> Thread:
    agent = next((span for span in around if span.kind == "AGENT"), None)
    return Thread(
        name=str(agent.attributes.get("agent.name") or agent.name) if agent else "",
        messages=list(call.given),
        around=_ids(around),
        is_in_tool=any(span.kind == "TOOL" for span in around),
        system=system,
    )


def ancestors(span: Span, spans: Mapping[str, Span]) -> Iterator[Span]:
    """Yield the span itself, its parent, and so on; a circle of parents is left after one round."""
    seen: set[str] = set()
    current: Span | None = span
    while current is not None and current.span_id not in seen:
        seen.add(current.span_id)
        yield current
        current = spans.get(current.parent_id or "")


def _extend(thread: Thread, new: list[Message], system: list[Message]) -> None:
    """Add new messages to a conversation; the first may be its own last answer, which is left out.

    A changed system message (another agent took over) comes after the results of the tools called before.
    """
    if new and new[0].role == "assistant" and thread.answer is not None:
        echo, new = new[0], new[1:]
        if echo.tool_calls and not thread.answer.tool_calls:
            thread.messages[-1] = replace(thread.messages[-1], tool_calls=echo.tool_calls)
    rest = next((i for i, message in enumerate(new) if message.role != "tool"), len(new))
    thread.messages += [*new[:rest], *system, *new[rest:]]


def main_thread(threads: Sequence[Thread]) -> Thread:
    """Return the longest of the conversations outside the agents and tools of others."""
    homes = {thread.around[0] for thread in threads if thread.around}
    has_outermost = any(not thread.around for thread in threads)
    outer = [
        thread
        for thread in threads
        if homes.isdisjoint(thread.around[1:]) and not (has_outermost and thread.is_in_tool)
    ]
    return max(outer or threads, key=lambda thread: len(thread.messages))
