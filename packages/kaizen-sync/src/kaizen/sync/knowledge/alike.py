"""Which tips are so much alike that they may be one lesson: by text, task and polarity, pair by pair."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from kaizen.sync.knowledge.polarity import polarity
from kaizen.sync.knowledge.similarity import LikenessIndex
from kaizen.tips.merge import wordings
from kaizen.tips.text import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.store import Embedder
    from kaizen.tips.tip import StoredTip

_SAME_TASK = 0.2
_NEIGHBOURS = 50
_DIGITS = 5


class Alike:
    """Finds the pairs; what it embedded and compared once it knows."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._texts = LikenessIndex(embedder)
        self._tasks = LikenessIndex(embedder)
        self._compared: dict[tuple[str, ...], bool] = {}

    def pairs(self, tips: Sequence[StoredTip], *, sure: bool) -> dict[tuple[int, int], float]:
        """How alike the tips are that may be one lesson, by their numbers, the smaller first.

        A tip is as much like another as the least like of all the wordings that they stand for.
        """
        known = [wordings(tip) for tip in tips]
        texts = {key: text for each in known for key, text in each.items()}
        self._texts.hold(texts)
        self._tasks.hold({task: task for task in map(_task, tips) if task})
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
        alike = {}
        for one, other in near:
            if not self._share_a_task(tips[one], tips[other]):
                continue
            # Equal texts are alike, whatever else is to be said of them.
            pairs = [(a, b) for a, b in product(known[one], known[other]) if a != b]
            likeness = min((self._likeness(*pair) for pair in pairs), default=1.0)
            cases = tips[one].trigger, tips[other].trigger
            worded = [(known[one][a], known[other][b]) for a, b in pairs]
            if likeness >= least and all(self._agree(*texts, *cases, sure=sure) for texts in worded):
                alike[one, other] = likeness
        return alike

    def _likeness(self, one: str, other: str) -> float:
        # Rounded, so that the order in which texts are held decides nothing.
        return round(self._texts.likeness(one, other), _DIGITS)

    def _share_a_task(self, one: StoredTip, other: StoredTip) -> bool:
        tasks = _task(one), _task(other)
        return not all(tasks) or tasks[0] == tasks[1] or self._tasks.likeness(*tasks) >= _SAME_TASK

    def _agree(self, one: str, other: str, case: str, other_case: str, *, sure: bool) -> bool:
        """Whether neither contradicts the other; where it must be sure, they also name the same things."""
        if sure and names(one) != names(other):
            return False
        texts = one, other, case, other_case
        if texts not in self._compared:
            self._compared[texts] = polarity(one, other, one_case=case, other_case=other_case)[0] == "same"
        return self._compared[texts]


def _task(tip: StoredTip) -> str:
    return str(tip.metadata.get("task_description") or "")
