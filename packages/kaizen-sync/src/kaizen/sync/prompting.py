"""What the model is shown: versioned prompt files, and a trajectory as text that fits a budget."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.sync.model import Message, Trajectory

TIPS_PROMPT = "tips-1"
RECONCILE_PROMPT = "reconcile-1"

_BUDGET_CHARS = 120_000
_MESSAGE_CHARS = 6_000
_SYSTEM_CHARS = 8_000
_NAME_CHARS = 200
_NOTE_CHARS = 80
_SEPARATOR = 2

_CLOSING_TAG = re.compile(r"<(\s{0,9}/\s{0,9}run\b)", re.IGNORECASE)


@cache
def load_prompt(version: str) -> str:
    """The text of a prompt file, named by its version, such as `tips-1`."""
    return (files("kaizen.sync") / "prompts" / f"{version}.md").read_text(encoding="utf-8")


def render_trajectory(trajectory: Trajectory, *, budget_chars: int = _BUDGET_CHARS) -> str:
    """The whole story as text: every message, errors that no message tells, and how it ended.

    Long messages are cut in their middle, and then messages are left out from the middle of the run, never
    from its end; what was left out is said. The text is no longer than `budget_chars`, at least 4,000.
    """
    sides = _condensed(list(_side_conversations(trajectory)), budget_chars // 4)
    errors = _condensed(
        [_data(_cut(error, _MESSAGE_CHARS)) for error in trajectory.errors], budget_chars // 8
    )
    rest = [*sides, *(["[errors recorded besides]", *errors] if errors else []), _ending(trajectory)]
    left = budget_chars - sum(len(part) + _SEPARATOR for part in ["<run>", *rest, "</run>"])
    messages = _condensed([_message(message) for message in trajectory.messages], left)
    return "\n\n".join(["<run>", *messages, *rest, "</run>"])


def _side_conversations(trajectory: Trajectory) -> Iterator[str]:
    for side in trajectory.side_conversations:
        of = f" of {_data(_cut(side.name, _NAME_CHARS))}" if side.name else ""
        yield f"[side conversation{of}]"
        yield from map(_message, side.messages)


def _message(message: Message) -> str:
    limit = _SYSTEM_CHARS if message.role == "system" else _MESSAGE_CHARS
    head = f"[{message.role}{f' {_cut(message.name, _NAME_CHARS)}' if message.name else ''}]"
    lines = [head, _cut(message.content, limit)] if message.content else [head]
    for call in message.tool_calls:
        lines.append(f"-> calls {_cut(call.name, _NAME_CHARS)}({_cut(call.arguments, limit)})")
    return _data("\n".join(lines))


def _ending(trajectory: Trajectory) -> str:
    outcome = trajectory.outcome
    if outcome.name == "unknown":
        return "[end of the run: whether it succeeded is not known]"
    detail = f": {_cut(outcome.detail, 1_000)}" if outcome.detail else ""
    return _data(f"[end of the run: {outcome.name}, by the {_cut(outcome.judged_by, _NAME_CHARS)}{detail}]")


def _data(text: str) -> str:
    """The text without the closing tag that would end the block which marks it as data."""
    return _CLOSING_TAG.sub(r"<\\\1", text)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _condensed(parts: Sequence[str], budget: int) -> list[str]:
    """The parts, without as many from the middle as the budget demands; the end gets two thirds of it."""
    if sum(len(part) + _SEPARATOR for part in parts) <= budget:
        return list(parts)
    budget -= _NOTE_CHARS
    # One part alone must never use up the room of the end.
    parts = [_cut(part, max(budget // 4 - _NOTE_CHARS, 0)) for part in parts]
    head: list[str] = []
    tail: list[str] = []
    left_head, left_tail = budget // 3, budget - budget // 3
    start, end = 0, len(parts)
    while end > start and len(parts[end - 1]) + _SEPARATOR <= left_tail:
        end -= 1
        left_tail -= len(parts[end]) + _SEPARATOR
        tail.append(parts[end])
    while start < end and len(parts[start]) + _SEPARATOR <= left_head:
        left_head -= len(parts[start]) + _SEPARATOR
        head.append(parts[start])
        start += 1
    left_out = [f"[... {end - start} messages left out here ...]"] if end > start else []
    return [*head, *left_out, *reversed(tail)]
