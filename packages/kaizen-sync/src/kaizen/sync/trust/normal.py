"""Normalise texts for searching, so that lookalike letters and encodings hide nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from kaizen.sync.decoding import blobs, views

# Letters of Cyrillic, Greek and phonetic alphabets that look like the Latin one below them.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏԛԝкмтвнгαβεικνορτυχγηωıɡɑᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢłøđ\u2019",
    "aeopcyxijsdhlqwkmtbhrabeikvoptuxynwigaabcdefghijklmnoprstuvwyzlod'",
)
_UNSEEN = dict.fromkeys(
    (
        *(0xAD, 0x61C, 0x180E, 0xFEFF),
        *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)),
        *(*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
)
# Tag characters are ASCII that no one sees.
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_REMOVED = {**_UNSEEN, **_TAGS, 0xE0001: None, 0xE007F: None}

# Letters that are kept apart: i g n o r e
_SPACED = re.compile(r"(?<!\w)(?:\w[ .*_/-]){5,60}+\w?(?!\w)")
_DOTTED = re.compile(r"(?<!\w)(?:\w[.*_/-]){1,60}+\w(?!\w)")
_DOTTED_LONG = re.compile(r"(?<!\w)(?:\w[.*_/-]){4}\w")
_APART = re.compile(r"[ .*_/-]")
_WORD = re.compile(r"\w{3,20}")
_LEET = str.maketrans("013457@$", "oieasTas".lower())
# Words that attacks misspell, by their first letter and all letters in order.
_TARGETS = "ignore disregard forget all previous prior earlier instructions prompts system rules guidelines"
_INSTRUCTION = ("instruction", "prompt", "rule")
# Base64 that mail programs broke into lines.
_WRAP = re.compile(r"(?<=[A-Za-z0-9+/]{16})\r?\n[ \t]*(?=[A-Za-z0-9+/]{2})")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")


def normal(text: str) -> str:
    """Return the text in lower case, with one space between words and nothing hidden.

    NFKD without marks; invisible characters removed; lookalike letters made Latin; entities, escapes and
    percent codes decoded. The result is at most a small multiple of the text's length.
    """
    for view in views(text):
        text = view.text
    text = _FOREIGN.sub(_plainer, text).casefold()
    if _DOTTED_LONG.search(text):
        text = _DOTTED.sub(_joined, text)
    text = _SPACED.sub(_joined, text)
    return " ".join(text.split())


def respelled(text: str) -> str:
    """Return a text that is `normal` with the words that attacks misspell in their right spelling."""
    return _WORD.sub(lambda match: _respelled(match[0]), text)


def _respelled(word: str) -> str:
    # `instruction` has the letters of `instructions`.
    return word if word in _INSTRUCTION else _targets().get(_letters(word), word)


@cache
def _targets() -> dict[tuple[str, str], str]:
    return {_letters(word): word for word in _TARGETS.split()}


def _letters(word: str) -> tuple[str, str]:
    if not word.isalpha():
        word = word.translate(_LEET)
    return word[0], "".join(sorted(set(word)))


def _joined(match: re.Match[str]) -> str:
    return _APART.sub("", match[0])


def fold_letters(text: str) -> str:
    """Remove marks from letters, and replace letters that look Latin by the Latin ones."""
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if not unicodedata.combining(c)).translate(_LOOKALIKES)


@cache
def pattern(expression: str) -> re.Pattern[str]:
    """Compile an expression, given in lower case, for texts that are `normal`."""
    # Folded as texts are, or an expression with an ü would find nothing.
    return re.compile(fold_letters(expression))


def decoded(text: str) -> Iterator[str]:
    """Yield the texts that base64 or hexadecimal parts of a text decode to, however they are broken up."""
    whole = _WRAP.sub("", text)
    for one in (text, *([whole] if whole != text else [])):
        yield from (inner for _, _, inner in blobs(one))


def _plainer(match: re.Match[str]) -> str:
    return fold_letters(match[0].translate(_REMOVED).casefold())
