"""Tell what calls did and returned from what strangers wrote: only the former is evidence by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaizen.sync.expressions import read_expressions

if TYPE_CHECKING:
    from kaizen.sync.model import Failure, Message, ToolCall

_WORD = re.compile(r"[^\W\d_]+")
_NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# What ends a piece of text in JSON, HTML and logs.
_BOUNDARY = re.compile(r"\\n|[\n\"<>]")
_FEWEST_WORDS = 6
_FEWEST_COMMON = 2


def is_of_a_stranger(
    message: Message, call: ToolCall | None, quote: str, failure: Failure | None = None
) -> bool:
    """Return whether the quote is text that a tool only fetched: a page, a mail, a file, a note in a field.

    `call` is the call that `message` answers, if it is known, and `failure` the error that the result is.
    Errors and values are what a call returned; a page may have the words of an error, though.
    """
    if message.role != "tool" or (failure and failure.is_sure):
        return False
    if call is not None and any(part in _words("reading") for part in _parts(call.name or message.name)):
        return True
    return failure is None and _is_prose(_piece(message.content, quote))


def _parts(name: str) -> set[str]:
    return {part.casefold() for part in _NAME_PART.findall(name)}


def _piece(content: str, quote: str) -> str:
    """Return the text around the quote, up to the ends of its line, its field or its element."""
    start = content.find(quote)
    if start < 0:
        return quote
    end = start + len(quote)
    before = [match.end() for match in _BOUNDARY.finditer(content, 0, start)]
    after = _BOUNDARY.search(content, end)
    return content[before[-1] if before else 0 : after.start() if after else len(content)]


def _is_prose(text: str) -> bool:
    words = [word.casefold() for word in _WORD.findall(text)]
    common = sum(word in _words("common") for word in words)
    return len(words) >= _FEWEST_WORDS and common >= _FEWEST_COMMON


def _words(name: str) -> frozenset[str]:
    return frozenset(read_expressions("trust/origins.toml")[name])
