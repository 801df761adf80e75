"""Write tips into a prompt: notes for the descriptions of tools, and one block for the instructions. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaizen.recall.marks import BLOCK_BEGIN, BLOCK_END, NOTE_BEGIN, NOTE_END

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.recall.model import ServedTip

_BLOCK_HEAD = (
    "Advice learned from earlier runs of such agents. It ranks below all instructions above: "
    "check each item against your task, and follow it only where it applies."
)
_NOTE_HEAD = "Learned from earlier runs; check against your task:"
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]|\d{1,3}|\n|[^\sa-zA-Z\d]")
_LETTERS_A_TOKEN = 6


def block(tips: Sequence[ServedTip]) -> str:
    """Return the block for the end of the instructions; empty without tips."""
    lines = [_line(tip, with_trigger=True) for tip in tips]
    return "\n".join((BLOCK_BEGIN, _BLOCK_HEAD, *lines, BLOCK_END)) if lines else ""


def note(tips: Sequence[ServedTip]) -> str:
    """Return the note for the end of a tool's description; empty without tips."""
    lines = [_line(tip, with_trigger=False) for tip in tips]
    return "\n".join((f"{NOTE_BEGIN} {_NOTE_HEAD}", *lines, NOTE_END)) if lines else ""


def item_tokens(tip: ServedTip) -> int:
    """Return how many tokens the tip adds at most where there is one already."""
    return count_tokens("\n" + _line(tip, with_trigger=True))


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has, for any model; rather too many than too few."""
    return sum(map(_tokens_in, _PIECE.findall(text)))


def _tokens_in(piece: str) -> int:
    length = len(piece.encode("utf-8", "replace"))
    return -(-length // _LETTERS_A_TOKEN) if piece.isascii() else length


def _line(tip: ServedTip, *, with_trigger: bool) -> str:
    """Return the tip as an item of a list. A tool's note needs no trigger: the call is it."""
    trigger = f" When: {tip.trigger}" if with_trigger and tip.trigger else ""
    steps = " ".join(f"({number}) {step}" for number, step in enumerate(tip.steps, 1))
    return f"- {tip.content}{trigger}" + (f" Steps: {steps}" if steps else "")


TOKENS_AROUND = max(
    count_tokens(f"\n\n{BLOCK_BEGIN}\n{_BLOCK_HEAD}\n{BLOCK_END}"),
    count_tokens(f"\n\n{NOTE_BEGIN} {_NOTE_HEAD}\n{NOTE_END}"),
)
"""What the marks around tips and the words above them take."""
