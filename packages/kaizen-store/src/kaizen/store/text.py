"""Say what a search sees of an entity, and which words a query asks for: the same for every backend."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.store.model import Entity

SEARCHED_METADATA = ("trigger", "task_description")
# What follows in a long text (a trajectory) tells little about what it is about, and costs time and space.
MAX_SEARCHED_CHARACTERS = 4_000
MAX_QUERY_WORDS = 32
# Of SQLite's FTS5. It stems as PostgreSQL's `english` does, both in C: no stemmer of Python is needed.
FTS_TOKENIZER = "porter unicode61 remove_diacritics 2"

# Written without spaces between words, or (Hangul) with particles at their end: each character is a word.
_UNSPACED = re.compile(
    "([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff])"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Unicode decomposes no letter of these into another and an accent, though people type them so.
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


def searched_text(entity: Entity) -> str:
    """Return the content and, if they are text, the trigger and the task of a tip."""
    extra = [entity.metadata.get(name) for name in SEARCHED_METADATA]
    return "\n".join([entity.content, *(text for text in extra if isinstance(text, str))])[
        :MAX_SEARCHED_CHARACTERS
    ]


def fold_text(text: str) -> str:
    """Return the words of a text in order, with a space between: what every backend indexes and looks for.

    Parts of `camelCase` and `snake_case` are words, and so is each character of CJK and Hangul. Case, accents
    and compatibility forms (Unicode, "NFKC casefold") do not count: `Straße` and `STRASSE` are `strasse`.
    """
    text = _CAMEL.sub(" ", text)
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold().translate(_PLAIN_LETTERS)
        # NFKD took each Hangul syllable apart, which is a word to us only as a whole.
        text = _UNSPACED.sub(r" \1 ", unicodedata.normalize("NFC", text))
    return " ".join(_WORD.findall(text.lower()))


def query_words(query: str) -> list[str]:
    """Return the words to look for, in order, each once; common ones only if there are no others."""
    words = list(dict.fromkeys(fold_text(query).split()))
    rare = [word for word in words if word not in STOPWORDS]
    return (rare or words)[:MAX_QUERY_WORDS]
