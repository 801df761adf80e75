"""Render what the model is shown: versioned prompt files, and a trajectory as text that fits a budget.

A run stands between `<run>` and `</run>`. Only marks such as `[3f9a1c2e step 4: user]` show its structure.
They begin with a number that occurs nowhere in the run, so nothing in the run can imitate a mark.
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
from kaizen.sync.trajectory.tool_definitions import signatures

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Trajectory

TIPS_PROMPT = "tips-3"
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
    """One task of a run that has several: its first and last step, and a description."""

    first: int
    last: int
    task_description: str = ""

    def __contains__(self, step: int) -> bool:
        return self.first <= step <= self.last


@cache
def load_prompt(version: str) -> str:
    """Return the text of a prompt file, named by its version, such as `tips-3`."""
    return (files("kaizen.sync.generate") / "prompts" / f"{version}.md").read_text(encoding="utf-8")


def render_trajectory(
    trajectory: Trajectory,
    *,
    budget_tokens: int = USUAL_TOKENS,
    segment: Segment | None = None,
    findings: Mapping[int, str] | None = None,
) -> str:
    """Return the run as text: tools, every message, errors that no message contains, and how it ended.

    `findings` are what the calls prove, by number.

    Steps are the messages, numbered from 1 in the order of `all_messages`. For a `segment` only its own steps
    and the system's are shown. What does not fit is cut from the middle of the longest texts, then from the
    middle of the run, never from its end, and marked as missing. The text has at most `budget_tokens` tokens
    (at least 2,000) by our estimate of three bytes each.
    """
    budget = budget_tokens * BYTES_PER_TOKEN
    roles = [message.role for message in trajectory.all_messages()]
    parts = _parts(trajectory)
    main = _pinned([piece for piece in parts.main if _is_shown(piece.step, roles, segment)], roles)
    frame = [_opening(len(roles), segment), _ending(trajectory)]
    proven = [Piece(mark=f"finding {n}", text=in_data(text)) for n, text in (findings or {}).items()]
    nonce = _nonce([*frame, *parts.tools, *main, *parts.sides, *parts.errors, *proven])
    opening, ending = (
        replace(piece, text=cut(piece.text, min(_DETAIL_BYTES, budget // 8), nonce)).render(nonce)
        for piece in frame
    )
    before = [opening, *fitted(parts.tools, min(_TOOLS_BYTES, budget // 8), nonce)]
    sides, errors = fitted(parts.sides, budget // 4, nonce), fitted(parts.errors, budget // 8, nonce)
    after = [*sides, *errors, ending, *fitted(proven, budget // 8, nonce), "</run>"]
    left = budget - sum(size(line) + 1 for line in ["<run>", *before, *after])
    return "\n".join(["<run>", *before, *fitted(main, left, nonce), *after])


def in_data(text: str) -> str:
    """Escape the closing tag in a text, which would end the data."""
    return _CLOSING_TAG.sub(r"<\\\1", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """All pieces of a run that can be shown."""

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
    """Map each call's id to the name of its result, with the call's number if its step has several."""
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
    """Return a name as it stands in a mark: quoted, on one line, at most 60 characters."""
    shown = "".join(char if char.isprintable() else "?" for char in name[:_NAME_CHARS])
    return in_data(json.dumps(shown, ensure_ascii=False))


def _is_shown(step: int, roles: Sequence[str], segment: Segment | None) -> bool:
    if segment is None or step in segment:
        return True
    return step < segment.first and roles[step - 1] == "system"


def _pinned(pieces: Sequence[Piece], roles: Sequence[str]) -> list[Piece]:
    """Return the pieces with the first request and the last piece pinned."""
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
    """Return eight hex digits that depend on the pieces alone and occur in none of them."""
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
