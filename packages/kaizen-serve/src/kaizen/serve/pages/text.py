"""Show texts that anyone may have written: escaped, bounded, with what is invisible made visible. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from markupsafe import Markup, escape

MAX_SHOWN = 20_000
"""How many characters of one text the page shows at most."""
FOLDED_OVER = 1_200

# Controls, zero-width and format characters, and those that turn the direction of text.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_CODE = re.compile(r"`([^`\n]{1,200})`")
_WHITE = re.compile(r"\s+")


class Piece(NamedTuple):
    """A part of a text, and whether it is marked."""

    text: str
    is_marked: bool = False


def shown(text: object) -> Markup:
    """Return the text as HTML; what is invisible is named, as in `U+202E`."""
    return Markup("").join(_parts(str(text)))


def plain(text: object) -> str:
    """Return the text for places that hold no HTML, such as titles; a sign stands for what is invisible."""
    return _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def shown_tip(text: object) -> Markup:
    """Return the words of a tip as HTML, what stands between backticks as code."""
    parts = _CODE.split(str(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(shown(part)) if number % 2 else shown(part)
        for number, part in enumerate(parts)
    )


def _parts(text: str) -> Iterable[Markup]:
    end = 0
    for match in _INVISIBLE.finditer(text):
        yield escape(text[end : match.start()])
        point = ord(match[0])
        name = unicodedata.name(match[0], "control character").lower()
        yield Markup('<span class="hidden-character" title="{}">U+{}</span>').format(name, f"{point:04X}")
        end = match.end()
    yield escape(text[end:])


def bounded(text: str, limit: int = MAX_SHOWN) -> str:
    """Return the text, cut if it is longer, with how much was cut."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more characters)"


def summary(text: str, limit: int = 160) -> str:
    """Return the beginning of a text in one line."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[:limit].rstrip()} …"


def marked(text: str, wanted: Sequence[str]) -> list[Piece]:
    """Split a text into pieces, of which those that say one of the wanted texts are marked.

    White space, case and quotation marks do not count.
    """
    patterns = [pattern for each in wanted if (pattern := _pattern(each))]
    if not patterns:
        return [Piece(text)]
    pieces, end = [], 0
    for match in re.finditer("|".join(patterns), text, re.IGNORECASE):
        pieces += [Piece(text[end : match.start()]), Piece(match[0], is_marked=True)]
        end = match.end()
    return [piece for piece in [*pieces, Piece(text[end:])] if piece.text]


def is_in(text: str, wanted: Sequence[str]) -> bool:
    """Return whether the text says one of the wanted texts, as `marked` finds them."""
    return any(piece.is_marked for piece in marked(text, wanted))


def _pattern(wanted: str) -> str:
    # The longest of them is searched for in texts of anyone: it must cost no more than its length.
    words = _WHITE.split(wanted.strip()[:2_000])
    return r"\s+".join(re.escape(word).replace("'", ".").replace('"', ".") for word in words if word)


def around(pieces: Sequence[Piece], *, before: int = 600, after: int = 1_200) -> list[Piece]:
    """Return what is around the first marked piece, cut on both sides; the beginning if none is."""
    place = next((n for n, piece in enumerate(pieces) if piece.is_marked), None)
    if place is None:
        return [Piece(bounded("".join(piece.text for piece in pieces), before + after))]
    ahead = "".join(piece.text for piece in pieces[:place])
    behind = "".join(piece.text for piece in pieces[place + 1 :])
    start = f"… {ahead[-before:]}" if len(ahead) > before else ahead
    found = [Piece(start), Piece(bounded(pieces[place].text, after), is_marked=True)]
    return [piece for piece in [*found, Piece(bounded(behind, after))] if piece.text]


def safe_url(url: object) -> str:
    """Return the URL if a browser may follow it: http and https only; else nothing."""
    text = str(url or "")
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.netloc and text.isprintable() else ""
