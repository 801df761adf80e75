"""What the model is shown: versioned prompt files, and a trajectory as text that fits a budget.

What comes from a run stands between `<run>` and `</run>`. Its structure is told by marks alone, such as
`[3f9a1c2e step 4: user]`, which carry a number that occurs nowhere in the run: whatever the run says, it
cannot write one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING

from kaizen.sync.generate.condense import BYTES_PER_TOKEN, Piece, cut, fitted, size
from kaizen.sync.trajectory.signatures import signatures

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Trajectory

TIPS_PROMPT = "tips-2"
SEGMENT_PROMPT = "segment-1"

LEAST_TOKENS = 2_000
USUAL_TOKENS = 50_000

_NAME_CHARS = 60
_TOOLS_BYTES = 6_000
_DETAIL_BYTES = 1_500
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})

_CLOSING_TAG = re.compile(r"<(\s{0,9}/\s{0,9}run\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a run that is a task of its own: its first and last step, and what the task is."""

    first: int
    last: int
    task_description: str = ""


@cache
def load_prompt(version: str) -> str:
    """The text of a prompt file, named by its version, such as `tips-2`."""
    return (files("kaizen.sync.generate") / "prompts" / f"{version}.md").read_text(encoding="utf-8")


def render_trajectory(
    trajectory: Trajectory, *, budget_tokens: int = USUAL_TOKENS, segment: Segment | None = None
) -> str:
    """The whole story as text: tools, every message, errors that no message tells, and how it ended.

    Steps are the messages, numbered from 1 as `all_messages` has them. Of a `segment` only its own steps and
    the system's are shown. What does not fit is cut from the middle of the longest texts, then from the
    middle of the run, never from its end; what is missing is said. The text is taken to have no more than
    `budget_tokens` tokens, at least 2,000.
    """
    budget = budget_tokens * BYTES_PER_TOKEN
    roles = [message.role for message in trajectory.all_messages()]
    parts = _parts(trajectory)
    main = _pinned([piece for piece in parts.main if _is_shown(piece.step, roles, segment)], roles)
    frame = [_opening(len(roles), segment), _ending(trajectory)]
    nonce = _nonce([*frame, *parts.tools, *main, *parts.sides, *parts.errors])
    opening, ending = (
        replace(piece, text=cut(piece.text, min(_DETAIL_BYTES, budget // 8), nonce)).render(nonce)
        for piece in frame
    )
    before = [opening, *fitted(parts.tools, min(_TOOLS_BYTES, budget // 8), nonce)]
    sides, errors = fitted(parts.sides, budget // 4, nonce), fitted(parts.errors, budget // 8, nonce)
    after = [*sides, *errors, ending, "</run>"]
    left = budget - sum(size(line) + 1 for line in ["<run>", *before, *after])
    return "\n".join(["<run>", *before, *fitted(main, left, nonce), *after])


def in_data(text: str) -> str:
    """The text as the prompt shows it: without a closing tag that would end the data."""
    return _CLOSING_TAG.sub(r"<\\\1", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Everything there is to show of a run."""

    tools: Sequence[Piece]
    main: Sequence[Piece]
    sides: Sequence[Piece]
    errors: Sequence[Piece]


def _parts(trajectory: Trajectory) -> _Parts:
    calls = _calls(trajectory)
    numbers = count(1)
    main = [piece for message in trajectory.messages for piece in _message(message, next(numbers), calls)]
    sides: list[Piece] = []
    for side in trajectory.side_conversations:
        sides.append(Piece(mark=f"side conversation{f' of {_name(side.name)}' if side.name else ''}"))
        sides += (piece for message in side.messages for piece in _message(message, next(numbers), calls))
    offered = in_data("\n".join(signatures(trajectory.tools)))
    return _Parts(
        tools=[Piece(mark="tools offered", text=offered)] if offered else [],
        main=main,
        sides=sides,
        errors=[Piece(mark="error recorded besides", text=in_data(error)) for error in trajectory.errors],
    )


def _calls(trajectory: Trajectory) -> dict[str, str]:
    """For the id of each call, what its result is called: the call's number, where there are several."""
    calls: dict[str, str] = {}
    for step, message in enumerate(trajectory.all_messages(), 1):
        for number, call in enumerate(message.tool_calls, 1):
            if call.id:
                which = f"call {number} in " if len(message.tool_calls) > 1 else ""
                calls[call.id] = f"result of {which}step {step}"
    return calls


def _message(message: Message, step: int, calls: Mapping[str, str]) -> Iterator[Piece]:
    role = message.role if message.role in _ROLES else _name(message.role)
    named = f" {_name(message.name)}" if message.name else ""
    result = calls.get(message.tool_call_id, "")
    mark = f"step {step}: {role}{named}{f', {result}' if result else ''}"
    yield Piece(mark=mark, text=in_data(message.content), step=step)
    for call in message.tool_calls:
        yield Piece(mark="calls", text=in_data(f"{call.name}({call.arguments})"), step=step, inline=True)


def _name(name: str) -> str:
    """A name as it stands in a mark: in quotation marks, on one line, not without end."""
    shown = "".join(char if char.isprintable() else "?" for char in name[:_NAME_CHARS])
    return in_data(json.dumps(shown, ensure_ascii=False))


def _is_shown(step: int, roles: Sequence[str], segment: Segment | None) -> bool:
    if segment is None or segment.first <= step <= segment.last:
        return True
    return step < segment.first and roles[step - 1] == "system"


def _pinned(pieces: Sequence[Piece], roles: Sequence[str]) -> list[Piece]:
    """The pieces, with the task and the last one pinned."""
    task = next((n for n, piece in enumerate(pieces) if roles[piece.step - 1] == "user"), -1)
    pinned = {task, len(pieces) - 1}
    return [replace(piece, pinned=True) if n in pinned else piece for n, piece in enumerate(pieces)]


def _opening(total: int, segment: Segment | None) -> Piece:
    if segment is None:
        return Piece(mark=f"run of {total} steps")
    mark = f"part of a run of {total} steps: steps {segment.first} to {segment.last}, one task of several"
    return Piece(mark=mark, text=in_data(segment.task_description))


def _ending(trajectory: Trajectory) -> Piece:
    outcome = trajectory.outcome
    known = "whether it succeeded is not known" if outcome.name == "unknown" else outcome.name
    judged = f", judged by {_name(outcome.judged_by)}" if outcome.judged_by else ""
    return Piece(mark=f"end of the run: {known}{judged}", text=in_data(outcome.detail), inline=True)


def _nonce(pieces: Iterable[Piece]) -> str:
    """Eight digits that the same pieces always get and that occur in none of them."""
    texts = [text for piece in pieces for text in (piece.mark, piece.text) if text]
    digest = _digest(texts)
    for attempt in count():
        nonce = blake2b(digest + attempt.to_bytes(4, "big"), digest_size=4).hexdigest()
        if not any(nonce in text for text in texts):
            return nonce
    raise AssertionError("four billion numbers do not fit into any text")


def _digest(texts: Iterable[str]) -> bytes:
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.digest()
