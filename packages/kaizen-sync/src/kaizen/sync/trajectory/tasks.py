"""The tasks of a session: where a user asks for something that has nothing to do with what came before.

A recovery that joins two unrelated tasks is none. To cut one task in two loses some, so only what is certain
is cut: before a user's message that follows a finished answer, if the last call before it succeeded, and no
call after it, nor anything that the user says from there on, names a value that was named before.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kaizen.sync.model import Message

# Ids, addresses, dates, codes: words with a digit or an @, which two tasks hardly have by chance.
_VALUE = re.compile(r"(?=[^\s\"'{}\[\](),:;]*[0-9@])[\w@.#/+-]{4,}")


def split_tasks(messages: Sequence[Message], is_failure: Callable[[str], bool]) -> list[Sequence[Message]]:
    """Return the messages of each task, in order; all as one where it is not certain that there are two.

    `is_failure` tells whether a result is an error.
    """
    called = [_values(" ".join(call.arguments for call in one.tool_calls)) for one in messages]
    said = [_values(one.content) for one in messages]
    # Of answers and results only what came before counts: they may list what nobody asked for.
    wanted = [
        calls | (words if one.role == "user" else frozenset())
        for one, calls, words in zip(messages, called, said, strict=True)
    ]
    later, later_calls = _from_here_on(wanted), _from_here_on(called)
    cuts, known, has_succeeded = [0], set[str](), False
    for number, message in enumerate(messages):
        is_request = message.role == "user" and has_succeeded and _is_answer(messages[number - 1])
        if is_request and later_calls[number] and known.isdisjoint(later[number]):
            cuts.append(number)
            known, has_succeeded = set(), False
        known |= called[number] | said[number]
        if message.role == "tool":
            has_succeeded = not is_failure(message.content)
    return [messages[start:end] for start, end in pairwise([*cuts, len(messages)])]


def _from_here_on(values: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    return list(accumulate(reversed(values), lambda found, more: found | more))[::-1]


def _is_answer(message: Message) -> bool:
    return message.role == "assistant" and not message.tool_calls and bool(message.content.strip())


def _values(text: str) -> frozenset[str]:
    return frozenset(_found(text))


def _found(text: str) -> Iterator[str]:
    for match in _VALUE.finditer(text):
        yield match[0].strip(".-/#").lower()
