"""Tell from their words whether two tips say the opposite of each other. English.

Embeddings put a statement next to its negation, and models call both duplicates. This looks for a word that
turns one of two otherwise like sentences, and reads no grammar: it is meant to keep two tips apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, NamedTuple

from kaizen.sync.expressions import read_expressions
from kaizen.tips.text import names, stem, tokens, word_stems

if TYPE_CHECKING:
    from kaizen.sync.knowledge.similarity import Thresholds

# Tips are shorter; comparing takes time that grows with the number of sentences of both.
_LONGEST = 2_000
_LONGEST_SHOWN = 120
_SENTENCE_END = re.compile(r"[.;:!?]\s+|\n+|\s\(|(?<!\()\)\s")
_NO_NEGATION = re.compile(
    r"(?i),?\s*\bnot (?:just|only|merely|necessarily)\b[^,.;]*"
    r"|\b(?:do not|don't|never) (?:forget|fail|hesitate) to\b"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w)])")
_LEAST_WORDS = 2
_SHARED_OF_SHORTER = 0.75
_SHARED_OF_BOTH = 0.5
_ALL_BUT_THE_SAME = 0.9

Relation = Literal["same", "opposite", "different", "unclear"]


class Comparison(NamedTuple):
    """What two tips are to each other, and the words that show it unless they are the same."""

    relation: Relation
    reason: str = ""


def compare_statements(one: str, other: str, *, triggers: tuple[str, str] = ("", "")) -> Comparison:
    """Compare two texts about the same thing; `same` means that no word shows a difference.

    `opposite`: but for a negation or an antonym a sentence of each is the same. `unclear`: they differ so,
    but also otherwise. `different`: they differ in a number, or their triggers are opposites.
    """
    if all(triggers) and _compare_sentences(*triggers) != "same":
        return Comparison("different", "'{}' and '{}' are different cases".format(*triggers))
    numbers, others = (frozenset(_NUMBER.findall(text)) for text in (one, other))
    if not (numbers <= others or others <= numbers):
        return Comparison("different", f"{', '.join(sorted(numbers))} and {', '.join(sorted(others))} differ")
    found = Comparison("same")
    for pair in product(_sentences(one), _sentences(other)):
        relation = _compare_sentences(*pair)
        if relation != "same" and found.relation != "opposite":
            shown = (shorten(sentence, _LONGEST_SHOWN, placeholder=" ...") for sentence in pair)
            found = Comparison(relation, "'{}' against '{}'".format(*shown))
    return found


def decide_by_words(
    one: str, other: str, similarity: float, thresholds: Thresholds, *, triggers: tuple[str, str] = ("", "")
) -> tuple[Literal["duplicate", "contradicts", "new"], str]:
    """Decide without a model whether one tip is a duplicate of the other or contradicts it, and why.

    In doubt it is new. `triggers` are those of both.
    """
    if similarity < thresholds.opposed:
        return "new", ""
    relation, reason = compare_statements(one, other, triggers=triggers)
    if relation == "opposite":
        return "contradicts", reason
    # A tip about a function or field is not repeated by one that names another.
    names_agree = names(one) <= names(other) or names(other) <= names(one)
    if relation == "same" and similarity >= thresholds.same and names_agree:
        return "duplicate", ""
    return "new", ""


@lru_cache(maxsize=4_096)
def _sentences(text: str) -> tuple[str, ...]:
    found = _SENTENCE_END.split(_NO_NEGATION.sub("", text[:_LONGEST]))
    return tuple(sentence.strip() for sentence in found if sentence.strip())


def _compare_sentences(one: str, other: str) -> Relation:
    words, others = _stems(one), _stems(other)
    antonyms = [
        only_one_is_right
        for word in words - others
        for antonym, only_one_is_right in _antonyms().get(word, ())
        if antonym in others and antonym not in words
    ]
    shared = len(words & others) + len(antonyms)
    total = len(words | others) - len(antonyms)
    fewer = min(len(words), len(others))
    if fewer < _LEAST_WORDS or shared < max(_SHARED_OF_SHORTER * fewer, _SHARED_OF_BOTH * total):
        return "same"
    # Two turns, such as "excludes" against "does not include", are none.
    if (_is_negated(one) + _is_negated(other) + len(antonyms)) % 2 == 0:
        return "same"
    return "opposite" if shared >= _ALL_BUT_THE_SAME * total and all(antonyms) else "unclear"


@lru_cache(maxsize=16_384)
def _is_negated(sentence: str) -> bool:
    # Two negations are none.
    negations = _words("negations")
    return sum(token in negations or token.endswith("n't") for token in tokens(sentence)) % 2 == 1


@lru_cache(maxsize=16_384)
def _stems(sentence: str) -> frozenset[str]:
    """Return the stems of the words of a sentence, without those that negate it or add nothing."""
    left_out = word_stems(" ".join((*_words("negations"), *_words("emphasis"))))
    return frozenset(found for found in word_stems(sentence) - left_out if not found.endswith("n't"))


@lru_cache(maxsize=1)
def _antonyms() -> dict[str, list[tuple[str, bool]]]:
    """Return the antonyms of each word by stems, each with whether only one of the two can be right."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for name, only_one_is_right in (("opposites", True), ("alternatives", False)):
        for pair in _words(name):
            one, other = map(stem, pair.split("/"))
            found.setdefault(one, []).append((other, only_one_is_right))
            found.setdefault(other, []).append((one, only_one_is_right))
    return found


def _words(name: str) -> tuple[str, ...]:
    return read_expressions("knowledge/opposites.toml")[name]
