"""The calls of a conversation, in order, each with what came back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.failures import read_failure
from kaizen.sync.trajectory.json_text import load_json

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.failures import Failure
    from kaizen.sync.model import Message, ToolCall

# What else is called a tool or an argument is no name, and may be an instruction.
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,63}", re.ASCII)

_PROGRAM_ARGUMENTS = frozenset({"command", "commands", "cmd", "code", "script", "keystrokes"})


@dataclass(slots=True, kw_only=True, eq=False)
class Step:
    """One call. `arguments` is None where they are no JSON object; `result` where nothing came back.

    `position` is that of its message in the conversation, `spelling` is the same for the same arguments, and
    `quote` is the call as it can be quoted.
    """

    number: int
    position: int
    tool: str
    arguments: Mapping[str, Any] | None
    spelling: str
    quote: str
    result: str | None = None
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.result is not None and self.failure is None

    @property
    def is_program(self) -> bool:
        """Return whether it runs a program of the agent's own writing, which is another one each time."""
        return self.arguments is None or not _PROGRAM_ARGUMENTS.isdisjoint(self.arguments)


def is_name(text: str) -> bool:
    """Return whether a tip may call a tool or an argument by this name."""
    return _NAME.fullmatch(text) is not None


def read_steps(messages: Iterable[Message]) -> list[Step]:
    """Return the calls of one conversation; a result goes with its call by id, else by order."""
    steps: list[Step] = []
    waiting: dict[str, Step] = {}
    for position, message in enumerate(messages):
        if message.role == "tool":
            call_id = message.tool_call_id if message.tool_call_id in waiting else next(iter(waiting), None)
            if call_id is not None:
                step = waiting.pop(call_id)
                step.result = message.content
                step.failure = read_failure(message.content)
            continue
        waiting.clear()
        for call in message.tool_calls:
            if is_name(call.name):
                step = _step(call, len(steps), position)
                steps.append(step)
                waiting[call.id or f"#{step.number}"] = step
    return steps


def _step(call: ToolCall, number: int, position: int) -> Step:
    try:
        value = load_json(call.arguments)
    except ValueError:
        value = None
    is_object = isinstance(value, dict)
    return Step(
        number=number,
        position=position,
        tool=call.name,
        arguments=value if is_object else None,
        spelling=json.dumps(value, sort_keys=True) if is_object else call.arguments.strip(),
        quote=f"{call.name}({call.arguments})",
    )
