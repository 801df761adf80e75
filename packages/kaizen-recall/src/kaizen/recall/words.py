"""The stems of the words of a text, by the rules of kaizen-store's search: its folding, and Porter's stemmer.

Copied rather than imported: agents carry nothing but the standard library. A test compares the two.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_CHARACTERS = 4_000
MAX_QUERY_WORDS = 32

_UNSPACED = re.compile(
    "([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_PLAIN_LETTERS = str.maketrans("øłđð\u0131ħŧ", "olddiht") | str.maketrans({"þ": "th", "æ": "ae", "œ": "oe"})
# fmt: off
STOPWORDS = frozenset((
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my",
    "no", "not", "of", "on", "or", "our", "please", "should", "so", "some", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "to", "was", "we", "were", "what", "when", "where",
    "which", "while", "who", "will", "with", "would", "you", "your",
))
# fmt: on


def fold_text(text: str) -> str:
    """Return the words of a text in order, with a space between, without case and accents."""
    text = _CAMEL.sub(" ", text)
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_PLAIN_LETTERS)
        text = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", text))
    return " ".join(_WORD.findall(text.lower()))


def text_stems(text: str) -> list[str]:
    """Return the stems of all words in order."""
    return [stem(word) for word in fold_text(text[:MAX_CHARACTERS]).split()]


def query_stems(text: str) -> list[str]:
    """Return the stems of the words to look for, in order, each once; none of common words."""
    words = dict.fromkeys(word for word in fold_text(text[:MAX_CHARACTERS]).split() if word not in STOPWORDS)
    return list(dict.fromkeys(stem(word) for word in list(words)[:MAX_QUERY_WORDS]))


# Porter, "An algorithm for suffix stripping" (1980), as SQLite's FTS5 has it. `m` is his measure: how often a
# consonant follows a vowel.

_VOWELS = re.compile(r"[aeiou]|(?<=[^aeiou])y")
_STEP_2 = (
    "ational:ate tional:tion enci:ence anci:ance izer:ize logi:log bli:ble alli:al entli:ent eli:e ousli:ous "
    "ization:ize ation:ate ator:ate alism:al iveness:ive fulness:ful ousness:ous aliti:al iviti:ive "
    "biliti:ble"
)
_STEP_3 = "icate:ic ative: alize:al iciti:ic ical:ic ful: ness:"
_STEP_4 = "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize"
_ENDINGS = {
    2: dict(pair.split(":") for pair in _STEP_2.split()),
    3: dict(pair.split(":") for pair in _STEP_3.split()),
    4: dict.fromkeys(_STEP_4.split(), ""),
}


@lru_cache(maxsize=4_096)
def stem(word: str) -> str:
    """Return the word without its endings; the word itself if it is short, or longer than any word."""
    if not 2 < len(word) <= 64:
        return word
    word = _without_plural_and_past(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = f"{word[:-1]}i"
    for step, least in ((2, 0), (3, 0), (4, 1)):
        word = _without_ending(word, step, least)
    return _without_final_letter(word)


def _without_plural_and_past(word: str) -> str:
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = next((e for e in ("ed", "ing") if word.endswith(e) and _has_vowel(word[: -len(e)])), "")
    return _mended(word.removesuffix(ending)) if ending else word


def _mended(word: str) -> str:
    """Return what is left of a word without `ed` or `ing` with the end that it needs."""
    if word.endswith(("at", "bl", "iz")) or (_measure(word) == 1 and _is_short(word)):
        return f"{word}e"
    doubled = word[-1:] == word[-2:-1] and not _has_vowel(word[-1:]) and word[-1] not in "lsz"
    return word[:-1] if doubled else word


def _without_ending(word: str, step: int, least: int) -> str:
    endings = _ENDINGS[step]
    ending = max((e for e in endings if word.endswith(e)), key=len, default="")
    start = word.removesuffix(ending)
    fits = ending and _measure(start) > least and (ending != "ion" or start.endswith(("s", "t")))
    return start + endings[ending] if fits else word


def _without_final_letter(word: str) -> str:
    start = word[:-1]
    if word.endswith("e") and ((m := _measure(start)) > 1 or (m == 1 and not _is_short(start))):
        word = start
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _kinds(word: str) -> str:
    """Return `v` for each vowel and `c` for each consonant."""
    vowels = {match.start() for match in _VOWELS.finditer(word)}
    return "".join("v" if place in vowels else "c" for place in range(len(word)))


def _measure(word: str) -> int:
    return _kinds(word).count("vc")


def _has_vowel(word: str) -> bool:
    return _VOWELS.search(word) is not None


def _is_short(word: str) -> bool:
    """Return whether it ends consonant, vowel, consonant, the last of which is not w, x or y."""
    return _kinds(word)[-3:] == "cvc" and word[-1] not in "wxy"
