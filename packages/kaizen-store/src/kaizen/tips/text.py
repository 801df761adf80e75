"""Prepare texts for showing and for comparing: one line, folded, as words, as word stems. English."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"[^\W\d_][\w']*(?:\.[^\W\d]\w+)*(?:\(\))?|\d+(?:\.\d+)?")
# What is spelled as code: show_song(), apis.spotify.login, song_ids, releaseDate.
_NAME = re.compile(r"_|\(\)|[a-z][A-Z]|\w\w\.\w\w")
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "a an and are as at be by for from in is it its of on or so that the then there this to "
        "when with you your"
    )
)
_STOP_WORDS = _FUNCTION_WORDS | frozenset(
    re.findall(
        r"\S+",
        "about all also am any been being both but can could did do does done each e.g ensure etc "
        "every had has have having how i i.e if into just make may me might must my only other our "
        "own please s shall should some such sure than their them these they those too very was we "
        "were what where which while who will would",
    )
)
_TURNING_WORDS = frozenset(
    _WORD.findall(
        "after before cannot don except fail fails less more never no none not only t unless until without"
    )
)


def printable(text: str) -> str:
    """Replace control characters: stored text comes from traces and may hold terminal codes."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(value: object) -> str:
    """Return the value as text in one line, without what could steer a terminal."""
    return " ".join(printable(str(value)).split())


def fold(text: str) -> str:
    """Return the text without what does not count in comparing: case, white space, closing punctuation."""
    return " ".join(text.split()).rstrip(".! ").casefold()


def words(text: str) -> frozenset[str]:
    """Return the words of a text in lower case, without articles, prepositions and the like."""
    return frozenset(_WORD.findall(text.casefold())) - _FUNCTION_WORDS


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of all words of two texts that both have (Jaccard)."""
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def turning_words(text_words: frozenset[str]) -> frozenset[str]:
    """Return the words that can make a statement mean its opposite, such as `not` and `before`."""
    return text_words & _TURNING_WORDS


@lru_cache(maxsize=16_384)
def word_stems(text: str) -> frozenset[str]:
    """Return the stems of the words that say what a text is about; names are kept as spelled."""
    return frozenset(stem(token) for token in tokens(text) if token not in _STOP_WORDS)


@lru_cache(maxsize=16_384)
def names(text: str) -> frozenset[str]:
    """Return the names of functions, fields and the like in a text."""
    return frozenset(stem(token) for token in tokens(text) if _NAME.search(token))


def tokens(text: str) -> list[str]:
    """Return the words and numbers of a text in order: names as spelled, all else in lower case."""
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    found = (token.rstrip("'") for token in _TOKEN.findall(plain))
    return [token if _NAME.search(token) else token.casefold() for token in found]


@lru_cache(maxsize=16_384)
def stem(token: str) -> str:
    """Return the word without its ending; of a dotted name the last part, which is how others call it."""
    if _NAME.search(token):
        return token.removesuffix("()").rpartition(".")[2]
    return load_stemmer()(token)


@cache
def load_stemmer() -> Callable[[str], str]:
    """Return the function that `stem` uses; the first call takes about 0.2 s."""
    # Loading it takes longer than most commands that import this module.
    import snowballstemmer  # type: ignore[import-untyped]

    stem_word: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return stem_word
