"""What one span tells of one model call, and whether that is all there was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaizen.sync.trajectory.chat import is_hollow

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the model was given and what it answered, each empty where the span does not tell.

    `is_delta` says that the call goes on with its agent's conversation, whose history it does not repeat.
    """

    given: list[Message] = field(default_factory=list)
    answer: list[Message] = field(default_factory=list)
    is_delta: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to write a model call into a span.

    `recognises` looks at names and is cheap. `claims` says that a span is a model call whatever its kind.
    """

    name: str
    recognises: Callable[[Span], bool]
    read: Callable[[Span], Reading]
    claims: Callable[[Span], bool] = lambda _: False


def is_whole(given: list[Message]) -> bool:
    """Whether every call has its result and no message lost its content."""
    waiting = 0
    for message in given:
        if message.role == "tool":
            waiting -= 1
        elif waiting > 0 or is_hollow(message):
            return False
        else:
            waiting = len(message.tool_calls)
    return bool(given) and waiting <= 0


def has_arguments(answer: list[Message]) -> bool:
    return bool(answer) and all(call.arguments for message in answer for call in message.tool_calls)
