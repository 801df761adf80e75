"""Find tips that may be one lesson, pair by pair, and group them so that each is similar to each other."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from kaizen.sync.knowledge.opposites import compare_statements
from kaizen.sync.knowledge.similarity import SimilarityIndex
from kaizen.tips.merge import wordings
from kaizen.tips.text import names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kaizen.store import Embedder
    from kaizen.tips.tip import StoredTip

_SAME_TASK = 0.2
_NEIGHBOURS = 50  # comparing all with all would take the square of their number
_DIGITS = 5


class PairFinder:
    """Find pairs of tips that may be one lesson. Texts are embedded and compared once."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._texts = SimilarityIndex(embedder)
        self._tasks = SimilarityIndex(embedder)
        self._agreeing: dict[tuple[str, ...], bool] = {}

    def pairs(self, tips: Sequence[StoredTip], *, sure: bool) -> dict[tuple[int, int], float]:
        """Return how similar the tips are that may be one lesson, by their numbers, the smaller first.

        `sure` finds only pairs that are one lesson beyond doubt. A tip is as similar to another as the least
        similar of all the wordings that were merged into them.
        """
        known = [wordings(tip) for tip in tips]
        texts = {key: text for each in known for key, text in each.items()}
        self._texts.hold(texts)
        self._tasks.hold({task: task for task in (tip.task_description for tip in tips) if task})
        holders: dict[str, list[int]] = {}
        for number, each in enumerate(known):
            for key in each:
                holders.setdefault(key, []).append(number)
        thresholds = self._texts.thresholds
        least = thresholds.same if sure else thresholds.opposed
        near = {
            (min(one, other), max(one, other))
            for key, text in texts.items()
            for found in self._texts.nearest(text, limit=_NEIGHBOURS, least=least)
            for one, other in product(holders[key], holders[found.key])
            if one != other
        }
        found_pairs = {}
        for one, other in near:
            # What claims two things, or is about two errors, is two lessons, however alike the words are.
            if tips[one].claim and tips[other].claim:
                continue
            if not self._share_a_task(tips[one], tips[other]):
                continue
            # Equal texts are alike, whatever else is to be said of them.
            pairs = [(a, b) for a, b in product(known[one], known[other]) if a != b]
            similarity = min((self._similarity(*pair) for pair in pairs), default=1.0)
            triggers = tips[one].trigger, tips[other].trigger
            worded = [(known[one][a], known[other][b]) for a, b in pairs]
            if similarity >= least and all(self._agree(*texts, triggers, sure=sure) for texts in worded):
                found_pairs[one, other] = similarity
        return found_pairs

    def _similarity(self, one: str, other: str) -> float:
        # Rounded, so that the order in which texts are held decides nothing.
        return round(self._texts.similarity(one, other), _DIGITS)

    def _share_a_task(self, one: StoredTip, other: StoredTip) -> bool:
        tasks = one.task_description, other.task_description
        return not all(tasks) or tasks[0] == tasks[1] or self._tasks.similarity(*tasks) >= _SAME_TASK

    def _agree(self, one: str, other: str, triggers: tuple[str, str], *, sure: bool) -> bool:
        """Return whether no word shows a difference; if it must be sure, they also name the same things."""
        if sure and names(one) != names(other):
            return False
        key = one, other, *triggers
        if key not in self._agreeing:
            self._agreeing[key] = compare_statements(one, other, triggers=triggers).relation == "same"
        return self._agreeing[key]


def cluster(
    similarity: Mapping[tuple[int, int], float],
    sizes: Sequence[int],
    *,
    fixed: Collection[int] = (),
    largest: int,
) -> list[list[int]]:
    """Return clusters of two or more of the items 0 .. len(sizes) - 1, most similar first (complete linkage).

    `similarity` has the pairs that may share a cluster, the smaller number first, and how similar they are.
    The sizes in a cluster add up to at most `largest`, and at most one of `fixed` is in it. No two clusters
    could be joined: whatever keeps two apart keeps apart all that they grow into.
    """
    # Members share one list, so that `is` tells whether two are in one cluster.
    of = {item: [item] for item in range(len(sizes))}
    for one, other in sorted(similarity, key=lambda pair: (-similarity[pair], pair)):
        if of[one] is of[other]:
            continue
        joined = sorted(of[one] + of[other])
        if sum(sizes[item] for item in joined) > largest or sum(item in fixed for item in joined) > 1:
            continue
        if all((min(a, b), max(a, b)) in similarity for a in of[one] for b in of[other]):
            of.update(dict.fromkeys(joined, joined))
    found = {id(members): members for members in of.values() if len(members) > 1}
    return list(found.values())
