"""The telling words of a text, for comparing it with others: stemmed, names as they are. English. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"[^\W\d_][\w']*(?:\.[^\W\d]\w+)*(?:\(\))?|\d+(?:\.\d+)?")
# What is spelled as code: show_song(), apis.spotify.login, song_ids, releaseDate.
_NAME = re.compile(r"_|\(\)|[a-z][A-Z]|\w\w\.\w\w")
_ENDINGS = ("ingly", "edly", "ing", "ied", "ies", "ed", "es", "s", "ly")
_SHORTEST_STEM = 3
_DOUBLED = re.compile(r"([^\W\daeiou])\1$")
COMMON = frozenset(
    re.findall(
        r"\S+",
        "a about all also am an and any are as at be been being both but by can could did do does "
        "done each e.g ensure etc every for from had has have having how i i.e if in into is it its "
        "just make may me might must my of on only or other our own please s shall should so some "
        "such sure than that the their them then there these they this those to too very was we were "
        "what when where which while who will with would you your",
    )
)


@lru_cache(maxsize=16_384)
def telling_words(text: str) -> frozenset[str]:
    """The stems of the words that say what a text is about."""
    return frozenset(stemmed(token) for token in tokens(text) if token not in COMMON)


@lru_cache(maxsize=16_384)
def names(text: str) -> frozenset[str]:
    """The names of functions, fields and the like in a text."""
    return frozenset(stemmed(token) for token in tokens(text) if _NAME.search(token))


def tokens(text: str) -> list[str]:
    """The words and numbers of a text in order: names as spelled, all else in small letters."""
    found = (
        token.rstrip("'") for token in _TOKEN.findall(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    )
    return [token if _NAME.search(token) else token.casefold() for token in found]


@lru_cache(maxsize=16_384)
def stemmed(token: str) -> str:
    """The word without its ending; of a dotted name the last part, which is how others call it."""
    if _NAME.search(token):
        return token.removesuffix("()").rpartition(".")[2]
    token = token.removesuffix("'s")
    for ending in _ENDINGS:
        stem = token.removesuffix(ending)
        if stem != token and len(stem) >= _SHORTEST_STEM and not (ending == "s" and stem.endswith("s")):
            token = stem + "y" if ending in ("ied", "ies") else stem
            break
    token = _DOUBLED.sub(r"\1", token)
    return token.removesuffix("e") if len(token) > _SHORTEST_STEM else token
