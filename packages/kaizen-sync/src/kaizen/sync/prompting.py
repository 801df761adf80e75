"""What the model is shown: versioned prompt files, and a trajectory as text that fits a budget."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.model import Message, Trajectory

TIPS_PROMPT = "tips-1"
RECONCILE_PROMPT = "reconcile-1"

_BUDGET_CHARS = 120_000
_MESSAGE_CHARS = 6_000
_SYSTEM_CHARS = 8_000


@cache
def load_prompt(version: str) -> str:
    """The text of a prompt file, named by its version, such as `tips-1`."""
    return (files("kaizen.sync") / "prompts" / f"{version}.md").read_text(encoding="utf-8")


def render_trajectory(trajectory: Trajectory, *, budget_chars: int = _BUDGET_CHARS) -> str:
    """The whole story as text: every message, errors that no message tells, and how it ended.

    Long messages are cut in their middle, and then messages are left out from the middle of the run, never
    from its end; what was left out is said.
    """
    parts = ["<run>", *_condensed([_message(m) for m in trajectory.messages], budget_chars)]
    for side in trajectory.side_conversations:
        parts.append(f"[side conversation{f' of {side.name}' if side.name else ''}]")
        parts += _condensed([_message(m) for m in side.messages], budget_chars // 4)
    if trajectory.errors:
        parts += ["[errors recorded besides]", *(_cut(error, _MESSAGE_CHARS) for error in trajectory.errors)]
    parts.append(_ending(trajectory))
    parts.append("</run>")
    return "\n\n".join(parts)


def _message(message: Message) -> str:
    limit = _SYSTEM_CHARS if message.role == "system" else _MESSAGE_CHARS
    head = f"[{message.role}{f' {message.name}' if message.name else ''}]"
    lines = [head, _cut(message.content, limit)] if message.content else [head]
    for call in message.tool_calls:
        lines.append(f"-> calls {call.name}({_cut(call.arguments, limit)})")
    # A closing tag inside the data would end the block that marks it as data.
    return "\n".join(lines).replace("</run>", "<\\/run>")


def _ending(trajectory: Trajectory) -> str:
    outcome = trajectory.outcome
    if outcome.name == "unknown":
        return "[end of the run: whether it succeeded is not known]"
    detail = f": {_cut(outcome.detail, 1_000)}" if outcome.detail else ""
    return f"[end of the run: {outcome.name}, by the {outcome.judged_by}{detail}]".replace(
        "</run>", "<\\/run>"
    )


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _condensed(parts: Sequence[str], budget: int) -> list[str]:
    """The parts, without as many from the middle as the budget demands; the end gets two thirds of it."""
    if sum(map(len, parts)) <= budget:
        return list(parts)
    head: list[str] = []
    tail: list[str] = []
    left_head, left_tail = budget // 3, budget - budget // 3
    start, end = 0, len(parts)
    while end > start and len(parts[end - 1]) <= left_tail:
        end -= 1
        left_tail -= len(parts[end])
        tail.insert(0, parts[end])
    while start < end and len(parts[start]) <= left_head:
        left_head -= len(parts[start])
        head.append(parts[start])
        start += 1
    return [*head, f"[... {end - start} messages left out here ...]", *tail]
