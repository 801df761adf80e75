"""Say what a search sees of an entity, and which words a query asks for: the same for every backend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.store.model import Entity

SEARCHED_METADATA = ("trigger", "task_description")
# What follows in a long text (a trajectory) tells little about what it is about, and costs time and space.
MAX_SEARCHED_CHARACTERS = 4_000
MAX_QUERY_WORDS = 32
# Of SQLite's FTS5; PostgreSQL's configuration `english` stems by the same rules.
FTS_TOKENIZER = "porter unicode61 remove_diacritics 2"

# Written without spaces between words: each character counts as a word of its own.
_UNSPACED = re.compile(
    "([\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003ffff])"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
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


def spaced(text: str) -> str:
    """Put spaces between what are words of their own: parts of `camelCase`, characters of CJK."""
    return _UNSPACED.sub(r" \1 ", _CAMEL.sub(" ", text.replace("\0", " ")))


def query_words(query: str) -> list[str]:
    """Return the words to look for, in order, each once; common ones only if there are no others."""
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(spaced(query))))
    telling = [word for word in words if word not in STOPWORDS]
    return (telling or words)[:MAX_QUERY_WORDS]
