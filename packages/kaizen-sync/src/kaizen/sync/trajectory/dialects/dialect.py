"""What a dialect is, and what it reads of one model call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaizen.sync.trajectory.chat import is_empty_answer

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanContent:
    """The messages that a model was given and its answer, each empty if the span does not hold them.

    `is_delta` says that the call goes on with its agent's conversation, whose history it does not repeat.
    `dropped` counts messages of the model that are not its answer, where there is no other.
    """

    given: list[Message] = field(default_factory=list)
    answer: list[Message] = field(default_factory=list)
    is_delta: bool = False
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to write a model call into a span.

    `recognises` looks at names and is cheap. `is_model_call` is true of a model call, whatever its kind.
    """

    name: str
    recognises: Callable[[Span], bool]
    read: Callable[[Span], SpanContent]
    is_model_call: Callable[[Span], bool] = lambda _: False


def is_whole(given: list[Message]) -> bool:
    """Return whether every call has its result and no message lost its content."""
    waiting = 0
    for message in given:
        if message.role == "tool":
            waiting -= 1
        elif waiting > 0 or is_empty_answer(message):
            return False
        else:
            waiting = len(message.tool_calls)
    return bool(given) and waiting <= 0


def has_arguments(answer: list[Message]) -> bool:
    return bool(answer) and all(call.arguments for message in answer for call in message.tool_calls)
