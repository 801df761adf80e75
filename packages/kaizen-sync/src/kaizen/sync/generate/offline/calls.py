"""The calls of a conversation in order, each with what came back: a result, or the error that it is."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trajectory.failures import may_be_refusal, read_failure, read_refusal
from kaizen.sync.trajectory.json_text import json_or_none, load_json

if TYPE_CHECKING:
    from kaizen.sync.model import Failure, Message, ToolCall

# What else is called a tool or an argument is no name, and may be an instruction.
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,63}", re.ASCII)
_PROGRAM_ARGUMENTS = frozenset({"command", "commands", "cmd", "code", "script", "keystrokes"})
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_FEWEST_CHARS = 4  # shorter words are in any text
_IN_ANY_TEXT = frozenset(
    [
        "been",
        "from",
        "have",
        "more",
        "must",
        "only",
        "that",
        "them",
        "then",
        "this",
        "were",
        "when",
        "will",
        "with",
        "your",
    ]
)


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One call. `arguments` is None if they are not a JSON object; `result` if nothing came back.

    `position` is that of its message in the conversation and `answered_at` that of its result, `spelling` is
    the same for the same arguments, and `quote` is the call as it can be quoted. It `is_doubtful` if its
    result may be a refusal, and nothing shows it.
    """

    number: int
    position: int
    tool: str
    arguments: Mapping[str, Any] | None
    spelling: str
    quote: str
    result: str | None = None
    answered_at: int = -1
    failure: Failure | None = None
    is_doubtful: bool = False

    @property
    def succeeded(self) -> bool:
        return self.result is not None and self.failure is None and not self.is_doubtful

    @property
    def is_program(self) -> bool:
        """Return whether it runs a program of the agent's own writing, which is another one each time."""
        return self.arguments is None or not _PROGRAM_ARGUMENTS.isdisjoint(self.arguments)


@cache
def expression(name: str) -> re.Pattern[str]:
    """Return the expression of that name in `words.toml`; case does not count."""
    [found] = read_expressions("generate/offline/words.toml")[name]
    return re.compile(found, re.IGNORECASE)


def is_name(text: str) -> bool:
    """Return whether a tip may call a tool or an argument by this name."""
    return _NAME.fullmatch(text) is not None


def is_read_only(tool: str) -> bool:
    """Return whether the name of a tool says that it changes nothing; a success says nothing about that."""
    words = _WORDS.findall(re.split(r"[.:]|__", tool)[-1])
    return bool(words) and expression("reads").fullmatch(words[0].casefold()) is not None


def read_calls(messages: tuple[Message, ...]) -> list[Call]:
    """Return the calls of one conversation; a result goes with its call by id, else by order."""
    return _read_calls(_Same(messages))


class _Same:
    """Messages that equal themselves alone: to compare all of them would take longer than to read them."""

    __slots__ = ("messages",)

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.messages = messages

    def __hash__(self) -> int:
        return id(self.messages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.messages is other.messages


# A conversation is read to measure it, to learn from it and to keep evidence, soon one after the other.
@lru_cache(maxsize=128)
def _read_calls(conversation: _Same) -> list[Call]:
    calls: list[Call] = []
    waiting: dict[str, Call] = {}
    for position, message in enumerate(conversation.messages):
        if message.role == "tool":
            call_id = message.tool_call_id if message.tool_call_id in waiting else next(iter(waiting), None)
            if call_id is not None:
                call = waiting.pop(call_id)
                call.result, call.answered_at = message.content, position
                call.failure = read_failure(message.content)
            continue
        waiting.clear()
        for asked in message.tool_calls:
            if is_name(asked.name):
                call = _call(asked, len(calls), position)
                calls.append(call)
                waiting[asked.id or f"#{call.number}"] = call
    _tell_refusals(calls)
    return calls


def _tell_refusals(calls: Iterable[Call]) -> None:
    """Take short results that may be refusals for such if a success of the tool has another form."""
    by_tool: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.result is not None and call.failure is None and not call.is_program:
            by_tool[call.tool].append(call)
    for tool, answered in by_tool.items():
        names = {name for call in answered for name in call.arguments or ()}
        for call in answered:
            call.failure = read_refusal(call.result or "", names)
        answered = [call for call in answered if call.failure is None]
        suspects = [(call, may) for call in answered if (may := may_be_refusal(call.result or ""))]
        suspected = {call.number for call, _ in suspects}
        successes = [call for call in answered if call.number not in suspected]
        for call, refusal in suspects:
            later = (other for other in successes if other.number > call.number)
            success = next(later, successes[-1] if successes else None)
            is_other = success is not None and _lacks(call, success)
            call.failure = refusal if is_other else None
            call.is_doubtful = success is None and not is_read_only(tool)


def _lacks(call: Call, success: Call) -> bool:
    """Return whether a result has not got what the result of a success consists of."""
    here, there = (json_or_none(one.result or "") for one in (call, success))
    if isinstance(here, dict) and isinstance(there, dict):
        return any(value and not here.get(key) for key, value in there.items())
    if type(here) is not type(there):
        return True
    told = " ".join((call.tool, call.spelling, success.spelling))
    asked, words, others = map(_long_words, (told, call.result or "", success.result or ""))
    return not (words & others - asked - _IN_ANY_TEXT)


def _long_words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= _FEWEST_CHARS}


def _call(asked: ToolCall, number: int, position: int) -> Call:
    try:
        value = load_json(asked.arguments)
    except ValueError:
        value = None
    is_object = isinstance(value, dict)
    return Call(
        number=number,
        position=position,
        tool=asked.name,
        arguments=value if is_object else None,
        spelling=json.dumps(value, sort_keys=True) if is_object else asked.arguments.strip(),
        quote=f"{asked.name}({asked.arguments})",
    )
