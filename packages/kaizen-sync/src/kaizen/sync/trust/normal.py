"""Normalise texts for searching, so that lookalike letters and encodings hide nothing."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from html import unescape
from urllib.parse import unquote

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

_ESCAPES = re.compile(r"\\u([0-9a-fA-F]{4})|\\([nrt])")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})++")
# Letters that are kept apart: i g n o r e
_SPACED = re.compile(r"(?<!\w)(?:\w[ .*_-]){5,60}+\w?(?!\w)")
_APART = re.compile(r"[ .*_-]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}+")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){16,}+")
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_DEPTH = 2  # attacks encode twice; each further level may take as long as the text


def normal(text: str) -> str:
    """Return the text in lower case, with one space between words and nothing hidden.

    NFKD without marks; invisible characters removed; lookalike letters made Latin; entities, escapes and
    percent codes decoded. The result is at most a small multiple of the text's length.
    """
    text = _unescaped(text)
    text = _FOREIGN.sub(_plainer, text).casefold()
    text = _SPACED.sub(lambda match: _APART.sub("", match[0]), text)
    return " ".join(text.split())


def fold_letters(text: str) -> str:
    """Remove marks from letters, and replace letters that look Latin by the Latin ones."""
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if not unicodedata.combining(c)).translate(_LOOKALIKES)


@cache
def pattern(expression: str) -> re.Pattern[str]:
    """Compile an expression, given in lower case, for texts that are `normal`."""
    # Folded as texts are, or an expression with an ü would find nothing.
    return re.compile(fold_letters(expression))


def decoded(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the texts that base64 or hexadecimal parts of a text decode to."""
    if not depth:
        return
    for match in _BASE64.finditer(text):
        # All hexadecimal is base64 too, and noise when decoded as such.
        if _HEX.fullmatch(match[0]):
            continue
        if found := _as_text(_from_base64(match[0])):
            yield found
            yield from decoded(found, depth - 1)
    for match in _HEX.finditer(text):
        if found := _as_text(bytes.fromhex(match[0])):
            yield found
            yield from decoded(found, depth - 1)


def _plainer(match: re.Match[str]) -> str:
    return fold_letters(match[0].translate(_REMOVED).casefold())


def _unescaped(text: str) -> str:
    if "&" in text:
        text = unescape(text)
    if "\\" in text:
        text = _ESCAPES.sub(_escaped, text)
    return _PERCENT.sub(lambda match: unquote(match[0]), text) if "%" in text else text


def _escaped(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 0x20
    # Half a surrogate pair is no character.
    return " " if 0xD800 <= code < 0xE000 else chr(code)


def _from_base64(text: str) -> bytes:
    text = text.replace("-", "+").replace("_", "/")
    # One character beyond whole groups of four holds no byte, and Python would refuse it all.
    whole = text[: len(text) - (len(text) % 4 == 1)]
    return b64decode(whole + "=" * (-len(whole) % 4))


def _as_text(data: bytes) -> str:
    """Decode the bytes if they look like text; else return an empty string."""
    # The beginning decides: binary data is rarely printable for so long.
    beginning = data[:64].decode("utf-8", "replace")
    odd = sum(not (c.isprintable() or c.isspace()) or c == "\N{REPLACEMENT CHARACTER}" for c in beginning)
    return data.decode("utf-8", "replace") if beginning and odd * 10 <= len(beginning) else ""
