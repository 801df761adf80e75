"""Plan which tips of a namespace are merged, cluster by cluster, before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from kaizen.sync.knowledge.clusters import cluster
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.evidence import count_stories
from kaizen.tips.merge import follow_merges, is_fixed, merge, retire_merged, unmerged_tips, wordings
from kaizen.tips.text import fold

if TYPE_CHECKING:
    from kaizen.sync.knowledge.clusters import PairFinder
    from kaizen.tips.evidence import StoredSource
    from kaizen.tips.tip import StoredTip

LARGEST = 12
"""How many wordings may be merged into one tip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeGroup:
    """Tips that are one lesson, by id, the one that stays first; without `content` it keeps its words."""

    tip_ids: tuple[str, ...]
    content: str = ""
    trigger: str = ""
    worded_by: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDecision:
    """Which tips of a cluster are one lesson; the rest is kept apart, for good if that `is_final`."""

    groups: tuple[MergeGroup, ...]
    is_final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A tip that others were merged into, and those."""

    tip: StoredTip
    merged: tuple[StoredTip, ...]


def unstored_evidence(tip: StoredTip) -> Iterable[StoredSource]:
    return filter(None, tip.unstored.values())


class MergePlan:
    """All tips of a namespace, of which the active ones are merged step by step. Nothing is stored."""

    def __init__(
        self,
        tips: Iterable[StoredTip],
        pair_finder: PairFinder,
        read_evidence: Callable[[StoredTip], Iterable[StoredSource]] = unstored_evidence,
    ) -> None:
        """`pair_finder` may be shared by several plans; `read_evidence` returns all that backs a tip."""
        self._before = {tip.id: tip for tip in tips}
        self._tips = dict(self._before)
        self._pair_finder = pair_finder
        self._read_evidence = read_evidence
        self._set_aside: set[tuple[str, str]] = set()
        self.kept_apart = 0

    def active_before(self) -> list[StoredTip]:
        return [tip for tip in self._before.values() if tip.is_active]

    def active(self) -> list[StoredTip]:
        return [tip for tip in self._tips.values() if tip.is_active]

    def clusters(self, *, sure: bool) -> list[list[StoredTip]]:
        """Return the clusters of tips that may be one lesson, or surely are; the best backed tip first."""
        tips = sorted(self.active(), key=lambda tip: tip.id)
        numbers = {tip.id: number for number, tip in enumerate(tips)}
        apart = {
            (numbers[one], numbers[other])
            for one, other in map(sorted, self._apart())
            if one in numbers and other in numbers
        }
        similarity = self._pair_finder.pairs(tips, sure=sure)
        found = cluster(
            {pair: score for pair, score in similarity.items() if pair not in apart},
            [len(wordings(tip)) for tip in tips],
            fixed={number for number, tip in enumerate(tips) if is_fixed(tip)},
            largest=LARGEST,
        )
        return [best_first([tips[number] for number in members]) for members in found]

    def apply(self, tips: Sequence[StoredTip], decision: ClusterDecision) -> None:
        """Merge the groups of a cluster of tips, and keep apart what is left of it."""
        left = {tip.id for tip in tips}
        for group in decision.groups:
            kept, *others = (self._tips[tip_id] for tip_id in group.tip_ids)
            evidence = (each for tip in (kept, *others) for each in self._read_evidence(tip))
            merged = merge(
                kept,
                others,
                content=group.content,
                trigger=group.trigger,
                worded_by=group.worded_by,
                support_by=count_stories(evidence),
            )
            # One that is better backed now may retire what contradicts it.
            self._tips |= resolve_contradictions({kept.id: merged}, self._tips)
            for other in others:
                self._tips[other.id] = retire_merged(other, merged)
                left.remove(other.id)
        pairs = set(combinations(sorted(left), 2))
        if not decision.is_final:
            self._set_aside |= pairs
            return
        self.kept_apart += len(pairs)
        for older_id, newer_id in sorted(pairs):
            tip = self._tips[newer_id]
            self._tips[newer_id] = tip.with_metadata(kept_apart=[*tip.kept_apart, older_id])

    def changed(self) -> list[StoredTip]:
        """Return the tips that are not as they were, in order of id."""
        return [tip for tip_id, tip in sorted(self._tips.items()) if tip != self._before[tip_id]]

    def merges(self) -> list[Merge]:
        """Return what was merged, by the id of the tip that it was merged into."""
        merged: dict[str, list[StoredTip]] = {}
        for tip in unmerged_tips(self._before).values():
            now = follow_merges(self._tips, tip.id)
            if now is not None and now.id != tip.id:
                merged.setdefault(now.id, []).append(tip)
        return [Merge(tip=self._tips[tip_id], merged=tuple(tips)) for tip_id, tips in sorted(merged.items())]

    def _apart(self) -> Iterable[tuple[str, str]]:
        """Yield the pairs known to be two lessons, by the ids of the tips that they were merged into."""
        named = [
            (tip.id, other_id) for tip in self.active() for other_id in (*tip.kept_apart, *tip.opponents)
        ]
        for one_id, other_id in (*named, *self._set_aside):
            one, other = follow_merges(self._tips, one_id), follow_merges(self._tips, other_id)
            if one is not None and other is not None:
                yield one.id, other.id


def best_first(tips: Iterable[StoredTip]) -> list[StoredTip]:
    """Sort the tip that stays to the front: a person's, else the best backed one, of equals the oldest."""
    return sorted(tips, key=lambda tip: (not is_fixed(tip), -tip.support, tip.id))


def merge_all(tips: Sequence[StoredTip]) -> ClusterDecision:
    """Decide that all of a cluster are one lesson, in the words of the first."""
    return ClusterDecision(groups=(MergeGroup(tip_ids=tuple(tip.id for tip in tips)),))


def is_one_text(tips: Sequence[StoredTip]) -> bool:
    return len({fold(tip.content) for tip in tips}) == 1
