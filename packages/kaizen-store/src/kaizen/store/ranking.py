"""Make one order of two: hits by words and hits by meaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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


def fuse_scores(lexical: Mapping[Key, float], dense: Mapping[Key, float]) -> dict[Key, float]:
    """Return the fused score (0 to 1) of everything that either side found, best first; ties by the key.

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
    return dict(sorted(fused.items(), key=lambda item: (-item[1], item[0])))


def _shares_of_best(scores: Mapping[Key, float]) -> dict[Key, float]:
    best = max(scores.values(), default=0.0)
    return {key: max(0.0, score) / best if best > 0 else 0.0 for key, score in scores.items()}


def _places(scores: Mapping[Key, float]) -> dict[Key, float]:
    least, greatest = min(scores.values()), max(scores.values())
    return {
        key: (score - least) / (greatest - least) if greatest > least else 1.0
        for key, score in scores.items()
    }
