"""One order out of two: hits by words and hits by meaning. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

# Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), whose authors found 60 to be good; the
# weights were chosen with benchmarks/search_quality.py.
RANK_CONSTANT = 60
LEXICAL_WEIGHT = 1.0
DENSE_WEIGHT = 1.0
# How many candidates each side puts forward for each hit that is wanted.
CANDIDATES_PER_HIT = 5
MIN_CANDIDATES = 50

Key = TypeVar("Key", int, str)


def candidates(limit: int) -> int:
    return max(MIN_CANDIDATES, CANDIDATES_PER_HIT * limit)


def fuse(lexical: Mapping[Key, float], dense: Mapping[Key, float]) -> dict[Key, float]:
    """The fused score of everything that either side found, best first; ties in order of the key."""
    fused: dict[Key, float] = {}
    for scores, weight in ((lexical, LEXICAL_WEIGHT), (dense, DENSE_WEIGHT)):
        ranked = sorted(scores, key=lambda key: (-scores[key], key))
        for rank, key in enumerate(ranked, 1):
            fused[key] = fused.get(key, 0.0) + weight / (RANK_CONSTANT + rank)
    return dict(sorted(fused.items(), key=lambda item: (-item[1], item[0])))
