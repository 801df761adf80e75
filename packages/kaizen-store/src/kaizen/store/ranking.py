"""Make one order of two: hits by words and hits by meaning. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import TypeVar

# Chosen with benchmarks/search_quality.py, whose tables are in docs/explanation/search.md.
DENSE_WEIGHT = 0.7
# How many candidates each side puts forward: enough that fewer or more give the same quality.
CANDIDATES_PER_HIT = 5
MIN_CANDIDATES = 100

Key = TypeVar("Key", int, str)


def candidate_count(limit: int) -> int:
    """Return how many candidates each side puts forward for a search of `limit` hits."""
    return max(MIN_CANDIDATES, CANDIDATES_PER_HIT * limit)


def rarest_words(counts: Mapping[str, int], *, at_most: int) -> list[str]:
    """Return the rarest words, given in how many texts each is: all that together are in `at_most` texts.

    At least one that is in any text. The words that are in many texts tell least (the formula of BM25), and
    ranking each text that has one of them takes time.
    """
    words = sorted((word for word, count in counts.items() if count), key=counts.__getitem__)
    sums = list(accumulate(counts[word] for word in words))
    return words[: max(1, bisect_right(sums, at_most))]


def least_cosine(embedder: object) -> float:
    """Return the cosine below which texts have nothing to do with each other; -1 if it is not known."""
    return float(getattr(embedder, "least_cosine", -1.0))


def fuse_scores(
    lexical: Mapping[Key, float], dense: Mapping[Key, float], *, least_cosine: float = -1.0
) -> dict[Key, float]:
    """Return the fused score (0 to 1) of everything that either side found, best first; ties by the key.

    What shares no word with the query and has a smaller cosine than `least_cosine` is not found.

    A score by words counts as its share of the best one, so that its scale does not matter; 0 means that no
    word was found. A cosine counts by where it lies between the least and the greatest one, since for some
    models 0.7 means unrelated and for others the same. Where one side found nothing, the other decides.
    """
    if not dense:
        fused = _shares_of_best(lexical)
    elif not lexical:
        fused = _places(dense)
    else:
        words, meanings = _shares_of_best(lexical), _places(dense)
        fused = {
            key: (1 - DENSE_WEIGHT) * words.get(key, 0.0) + DENSE_WEIGHT * meanings.get(key, 0.0)
            for key in {**words, **meanings}
        }
    found = ((key, score) for key, score in fused.items() if key in lexical or dense[key] >= least_cosine)
    return dict(sorted(found, key=lambda item: (-item[1], item[0])))


def _shares_of_best(scores: Mapping[Key, float]) -> dict[Key, float]:
    best = max(scores.values(), default=0.0)
    return {key: max(0.0, score) / best if best > 0 else 0.0 for key, score in scores.items()}


def _places(scores: Mapping[Key, float]) -> dict[Key, float]:
    least, greatest = min(scores.values()), max(scores.values())
    return {
        key: (score - least) / (greatest - least) if greatest > least else 1.0
        for key, score in scores.items()
    }
