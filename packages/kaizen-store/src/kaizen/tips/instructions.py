"""Write tips into files that agents read: AGENTS.md, CLAUDE.md, rules of an editor, a skill."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kaizen.store import InvalidInputError
from kaizen.tips.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# The marks of kaizen-recall: a sync takes what is between them out of a trace before it learns from it.
BEGIN, END = "<kaizen-tips>", "</kaizen-tips>"

_HEAD = """
## Tips from earlier runs

Check each against your task; all other instructions come first. `kaizen tips export` writes this block.
"""
_MARK = re.compile(r"<(/?kaizen-tips)>|\[(/?kaizen)\]", re.IGNORECASE)
_MARK_LINE = re.compile(r"(?m)^[ \t]*(</?kaizen-tips>)[ \t]*\r?$")
_BLOCK = re.compile(r"(?ms)^[ \t]*<kaizen-tips>[ \t]*\r?$.*^[ \t]*</kaizen-tips>")
# By this, instruction files include other files.
_INCLUDE = re.compile(r"(?<!\w)@(?=\S)")
_BYTES_A_TOKEN = 3


def tips_block(tips: Iterable[Mapping[str, Any]], *, max_tokens: int | None = None) -> str:
    """Return served tips between marks: those that fit into so many tokens, in their order.

    Tokens are counted rather too high, by the bytes. Without tips there are only the marks.
    """
    around = f"{BEGIN}\n{_HEAD}\n{END}"
    left = (max_tokens or 10**9) - _tokens(around)
    items = []
    for tip in tips:
        item = "\n".join(_item(tip))
        if _tokens(item) <= left:
            left -= _tokens(item)
            items.append(item)
    return "\n".join((BEGIN, _HEAD, *items, "", END)) if items else f"{BEGIN}\n{END}"


def replace_block(text: str, block: str) -> str:
    """Return the text of a file with the block in the place of its present one, or else at its end.

    Raises `InvalidInputError` if the text has marks and not exactly one pair.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    block = block.replace("\n", newline)
    marks = _MARK_LINE.findall(text)
    if marks == [BEGIN, END]:
        return _BLOCK.sub(lambda _: block, text)
    if marks:
        raise InvalidInputError(f"it needs one line {BEGIN} and one line {END} after it, or neither")
    if text and not text.endswith("\n"):
        text += newline
    return f"{text}{newline if text else ''}{block}{newline}"


def _item(tip: Mapping[str, Any]) -> Iterator[str]:
    yield f"- {_plain(tip['content'])}"
    if trigger := _plain(tip.get("trigger", "")):
        yield f"  - When: {trigger}"
    for number, step in enumerate(filter(None, map(_plain, tip.get("steps", ()))), 1):
        yield f"  - Step {number}: {step}"


def _plain(text: str) -> str:
    """Return the text in one line: it can neither leave its item, nor write marks, nor include a file."""
    text = _MARK.sub(lambda mark: f"({mark[1] or mark[2]})", one_line(text))
    return _INCLUDE.sub("@ ", text)


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN)
