"""The tips of a namespace while those that are one lesson are merged, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from kaizen.sync.knowledge.clusters import clusters
from kaizen.tips.contradictions import opponents, settled
from kaizen.tips.merge import (
    apart_from,
    is_fixed,
    is_well_formed,
    merge,
    retire,
    stand_in,
    standing,
    wordings,
)
from kaizen.tips.wording import fold

if TYPE_CHECKING:
    from kaizen.sync.knowledge.alike import Alike
    from kaizen.tips.tip import StoredTip

LARGEST = 12
"""How many wordings one tip may come to stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tips that are one lesson, by id, the one that stays first; its own words stay without `content`."""

    tip_ids: tuple[str, ...]
    content: str = ""
    trigger: str = ""
    worded_by: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which tips of a cluster are one lesson; the rest stays apart, for good where that `is_final`."""

    groups: tuple[Group, ...]
    is_final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What stands for several tips now, and which those were."""

    tip: StoredTip
    merged: tuple[StoredTip, ...]


class Tidying:
    """All tips of a namespace, of which the active ones are merged step by step."""

    def __init__(self, tips: Iterable[StoredTip], alike: Alike) -> None:
        """`alike` says which tips may be one lesson; several namespaces or moments may share it."""
        self._before = {tip.id: tip for tip in tips}
        self._tips = dict(self._before)
        self._alike = alike
        self._set_aside: set[tuple[str, str]] = set()
        self.kept_apart = 0

    def active_before(self) -> list[StoredTip]:
        return list(filter(_is_active, self._before.values()))

    def active(self) -> list[StoredTip]:
        return list(filter(_is_active, self._tips.values()))

    def clusters(self, *, sure: bool) -> list[list[StoredTip]]:
        """The clusters of tips that may be one lesson, or surely are, each with the best backed tip first."""
        tips = sorted(self.active(), key=lambda tip: tip.id)
        numbers = {tip.id: number for number, tip in enumerate(tips)}
        apart = {
            (numbers[one], numbers[other])
            for one, other in map(sorted, self._apart())
            if one in numbers and other in numbers
        }
        alike = self._alike.pairs(tips, sure=sure)
        found = clusters(
            {pair: likeness for pair, likeness in alike.items() if pair not in apart},
            [len(wordings(tip)) for tip in tips],
            fixed={number for number, tip in enumerate(tips) if is_fixed(tip)},
            largest=LARGEST,
        )
        return [best_first([tips[number] for number in cluster]) for cluster in found]

    def take(self, cluster: Sequence[StoredTip], decision: Decision) -> None:
        """Merge the groups of a cluster, and keep apart what is left of it."""
        left = {tip.id for tip in cluster}
        for group in decision.groups:
            kept, *others = (self._tips[tip_id] for tip_id in group.tip_ids)
            merged = merge(
                kept, others, content=group.content, trigger=group.trigger, worded_by=group.worded_by
            )
            # One that is better backed now may retire what contradicts it.
            self._tips |= settled({kept.id: merged}, self._tips)
            for other in others:
                self._tips[other.id] = retire(other, merged)
                left.remove(other.id)
        pairs = set(combinations(sorted(left), 2))
        if not decision.is_final:
            self._set_aside |= pairs
            return
        self.kept_apart += len(pairs)
        for older_id, newer_id in sorted(pairs):
            tip = self._tips[newer_id]
            kept_apart = [*apart_from(tip), older_id]
            self._tips[newer_id] = replace(tip, metadata={**tip.metadata, "kept_apart": kept_apart})

    def changed(self) -> list[StoredTip]:
        """The tips that are not as they were, in order of id."""
        return [tip for tip_id, tip in sorted(self._tips.items()) if tip != self._before[tip_id]]

    def merges(self) -> list[Merge]:
        """What was merged, by the id of what stands for it."""
        merged: dict[str, list[StoredTip]] = {}
        for tip in standing(self._before).values():
            now = stand_in(self._tips, tip.id)
            if now is not None and now.id != tip.id:
                merged.setdefault(now.id, []).append(tip)
        return [Merge(tip=self._tips[tip_id], merged=tuple(tips)) for tip_id, tips in sorted(merged.items())]

    def _apart(self) -> Iterable[tuple[str, str]]:
        """The pairs that are known to be no one lesson, as the ids of what stands for them today."""
        named = [
            (tip.id, other_id) for tip in self.active() for other_id in (*apart_from(tip), *opponents(tip))
        ]
        for one_id, other_id in (*named, *self._set_aside):
            one, other = stand_in(self._tips, one_id), stand_in(self._tips, other_id)
            if one is not None and other is not None:
                yield one.id, other.id


def best_first(cluster: Iterable[StoredTip]) -> list[StoredTip]:
    """The one that stays comes first: a person's, else the best backed one, of equals the oldest."""
    return sorted(
        cluster, key=lambda tip: (not is_fixed(tip), -int(tip.metadata.get("support") or 0), tip.id)
    )


def keep_best(cluster: Sequence[StoredTip]) -> Decision:
    """All of a cluster as one lesson, in the words of the first."""
    return Decision(groups=(Group(tip_ids=tuple(tip.id for tip in cluster)),))


def is_one_text(cluster: Sequence[StoredTip]) -> bool:
    return len({fold(tip.content) for tip in cluster}) == 1


def _is_active(tip: StoredTip) -> bool:
    return tip.status == "active" and is_well_formed(tip)
