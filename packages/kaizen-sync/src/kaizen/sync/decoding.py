"""Read a text as it reads once it is decoded, knowing where each part stands in the original."""

from __future__ import annotations

import re
from base64 import b64decode
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from html import unescape
from urllib.parse import unquote

_PASSES = 3  # JSON in JSON in JSON; each pass may take as long as the text
_DEPTH = 2  # base64 of base64
_BEGINNING = 24

_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
# Each code, and what a text must hold to have it, which is found in a small part of the time. Invisible
# characters, codes of terminals, line breaks that are escaped or within a long run, and what puts strings
# together stand inside a word without being part of it.
_ESCAPE = (
    r"\\(?:u\{?(?P<u>[0-9a-fA-F]{4})\}?|x(?P<x>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|(?P<letter>[nrtbf\"'/\\`])|\r?\n)"
)
_CODES = (
    (r"\\", _ESCAPE),
    ("%[0-9a-fA-F]{2}", r"(?P<percent>%[0-7][0-9a-fA-F]|(?:%[89a-fA-F][0-9a-fA-F])++)"),
    ("&[#a-zA-Z]", r"(?P<entity>&(?:#[xX][0-9a-fA-F]{1,6}|#[0-9]{1,7}|[a-zA-Z]{2,8});)"),
    ("\x1b", r"\x1b\[[0-9;]{0,20}[A-Za-z]"),
    (r"=\r?\n", r"=\r?\n"),
    (
        r"\n(?<=[\w+/-]{20}\n)[\w+/=-]",
        r"\n(?<=[\w+/-]{20}\n)(?=(?=[\w+/=-]{0,200}\d)[\w+/=-]{8,}(?![^\s\"']))",
    ),
    (
        r"\r\n(?<=[\w+/-]{20}\r\n)[\w+/=-]",
        r"\r\n(?<=[\w+/-]{20}\r\n)(?=(?=[\w+/=-]{0,200}\d)[\w+/=-]{8,}(?![^\s\"']))",
    ),
    (r" [^\s|](?: [^\s|]){9}", r"(?<!\S)(?P<spaced>(?:[^\s|] ){11,}+(?:\S(?!\S))?)"),
    (r"\+ ?[\"']", r"[\"'](?<=\w[\"'])\s?\+\s?[\"'](?=\w)"),
    (r"\. ?[\"'](?<=[\"'].[\"'])", r"[\"'](?<=\w[\"'])\s?\.\s?[\"'](?=\w)"),
)
_FOREIGN_CODES = (("[\uff01-\uff5e]", "(?P<wide>[\uff01-\uff5e])"), (f"[{_UNSEEN}]", f"[{_UNSEEN}]+"))
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}+")
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{2}(?:[ :]?[0-9a-fA-F]{2}){7,}+(?![0-9A-Za-z])")
_NOT_HEX = re.compile("[^0-9a-fA-F]")
_SPACES = dict.fromkeys(map(ord, "\t\r\n"), " ")


class View:
    """A text with its codes resolved, once."""

    def __init__(self, original: str, codes: re.Pattern[str], of: View | None) -> None:
        self.text = codes.sub(_plain, original)
        self._original, self._codes, self._of = original, codes, of

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return where the part of the view from `start` to `end` stands in the first original."""
        begins, ends = self._place(start)[0], self._place(end - 1)[1]
        return self._of.original(begins, ends) if self._of else (begins, ends)

    def _place(self, position: int) -> tuple[int, int]:
        """Return where the code or the character stands that is at that position of the view."""
        starts, origins = self._parts
        number = bisect_right(starts, position) - 1
        begins, ends, is_code = origins[number]
        offset = position - starts[number]
        return (begins, ends) if is_code else (begins + offset, begins + offset + 1)

    @cached_property
    def _parts(self) -> tuple[list[int], list[tuple[int, int, bool]]]:
        """Return where the parts of the view begin, and where each begins and ends in the original."""
        starts, origins = [0], [(0, 0, False)]
        length = position = 0
        for match in self._codes.finditer(self._original):
            length += match.start() - position
            for size, begins, is_code in ((len(_plain(match)), match.start(), True), (1, match.end(), False)):
                starts.append(length)
                origins.append((begins, match.end(), is_code))
                length += size if is_code else 0
            position = match.end()
        return starts, origins


def views(text: str) -> Iterator[View]:
    """Yield the text with its codes resolved: once, twice, thrice, for as long as something changes."""
    view = None
    for _ in range(_PASSES):
        codes = tuple(code for sign, code in _signs(is_ascii=text.isascii()) if sign.search(text))
        if not codes:
            return
        view = View(text, _any(codes), view)
        if view.text == text:
            return
        yield view
        text = view.text


@cache
def _signs(*, is_ascii: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    codes = _CODES if is_ascii else (*_CODES, *_FOREIGN_CODES)
    return tuple((re.compile(sign), code) for sign, code in codes)


@cache
def _any(codes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(codes))


def _plain(match: re.Match[str]) -> str:
    kind, found = match.lastgroup, match[0]
    if kind == "letter":
        return _LETTERS.get(found[1], found[1])
    if kind in ("u", "x", "octal"):
        code = int(match[kind], 8 if kind == "octal" else 16)
        # Half a surrogate pair is no character.
        return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= code < 0xE000 else chr(code)
    if kind == "percent":
        return unquote(found)
    if kind == "entity":
        return unescape(found)
    if kind == "wide":
        return chr(ord(found) - 0xFEE0)
    if kind == "spaced":
        return found.replace(" ", "") + (" " if found.endswith(" ") else "")
    return ""


def blobs(text: str, depth: int = _DEPTH) -> Iterator[tuple[int, int, str]]:
    """Yield where base64 or hexadecimal of a text stands, and that text; also what stands within it."""
    for start, end, inner in (*_blobs(text, _BASE64, _from_base64), *_blobs(text, _HEX, _from_hex)):
        yield start, end, inner
        if depth > 1:
            yield from ((start, end, deeper) for _, _, deeper in blobs(inner, depth - 1))


def _blobs(
    text: str, expression: re.Pattern[str], decode: Callable[[str], bytes]
) -> Iterator[tuple[int, int, str]]:
    for match in expression.finditer(text):
        # The beginning decides: binary data is rarely printable for so long.
        if _is_text(decode(match[0][:_BEGINNING])):
            yield *match.span(), decode(match[0]).decode("utf-8", "replace")


def _is_text(data: bytes) -> bool:
    # The last character may be cut.
    text = data.decode("utf-8", "replace").rstrip("\N{REPLACEMENT CHARACTER}")
    return bool(text) and "\N{REPLACEMENT CHARACTER}" not in text and text.translate(_SPACES).isprintable()


def _from_base64(text: str) -> bytes:
    text = text.replace("-", "+").replace("_", "/")
    # One character beyond whole groups of four holds no byte, and Python would refuse it all.
    whole = text[: len(text) - (len(text) % 4 == 1)]
    return b64decode(whole + "=" * (-len(whole) % 4))


def _from_hex(text: str) -> bytes:
    digits = _NOT_HEX.sub("", text)
    return bytes.fromhex(digits[: len(digits) // 2 * 2])
