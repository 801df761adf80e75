"""The marks around all that recall writes into a prompt, and how to take it out again."""

from __future__ import annotations

import re

BLOCK_BEGIN, BLOCK_END = "<kaizen-tips>", "</kaizen-tips>"
NOTE_BEGIN, NOTE_END = "[kaizen]", "[/kaizen]"

PATTERN = r"(?s)(?:\n\n)?(?:<kaizen-tips>\n.*?</kaizen-tips>|\[kaizen\] .*?\[/kaizen\])"
"""Finds a block or a note with the empty line before it. kaizen-sync has the same pattern."""

_WRITTEN = re.compile(PATTERN)
_MARK = re.compile(r"<(/?kaizen-tips)>|\[(/?kaizen)\]", re.IGNORECASE)


def is_marked(text: str) -> bool:
    """Return whether the text has a block or a note already."""
    return BLOCK_BEGIN in text or NOTE_BEGIN in text


def strip_marked(text: str) -> str:
    """Return the text without blocks and notes: what it was before `add`."""
    return _WRITTEN.sub("", text) if is_marked(text) else text


def add(text: str, addition: str) -> str:
    """Return the text with a block or a note at its end; the same text if it has one, or there is none."""
    if not addition or is_marked(text):
        return text
    return f"{text}\n\n{addition}" if text else addition


def harmless(text: str) -> str:
    """Return the text in one line, without control characters and without our marks."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return _MARK.sub(lambda mark: f"({mark[1] or mark[2]})", " ".join(text.split()))
