"""Tips that contradict each other: both are kept with their evidence, and agents get the better backed one.

The other is retired, which is undone when evidence shifts. Its metadata says which tip it gave way to
(`retired_for`). Both say what they contradict (`contradicts`, `contradicted_by`), and why (`contradictions`,
by the id of the other one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.tips.tip import StoredTip, story_of

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTRADICTS = "contradicts"
CONTRADICTED_BY = "contradicted_by"
REASONS = "contradictions"
RETIRED_FOR = "retired_for"

_EMPTY_GOES = (CONTRADICTS, CONTRADICTED_BY, REASONS)


class Backing(NamedTuple):
    """How well a tip is backed; the greater, the better. What a person says counts before any run."""

    is_a_persons: bool
    not_failed: int
    succeeded: int
    stories: int


def backing(tip: StoredTip) -> Backing:
    """Counts distinct stories; of those with verified evidence the ones that succeeded before the failed."""
    outcomes: dict[str, str] = {}
    for source in tip.sources:
        if source.get("verified", True) and not source.get("suspect"):
            outcomes[story_of(source)] = str(source.get("outcome") or "unknown")
    ended = list(outcomes.values())
    return Backing(
        is_a_persons=tip.is_kept,
        not_failed=len(ended) - ended.count("failure"),
        succeeded=ended.count("success"),
        stories=len(ended),
    )


def opponents(tip: StoredTip) -> list[str]:
    """The ids of the tips that contradict it."""
    both = (*(tip.metadata.get(CONTRADICTS) or ()), *(tip.metadata.get(CONTRADICTED_BY) or ()))
    return list(dict.fromkeys(map(str, both)))


def name_contradiction(new: StoredTip, known: StoredTip, reason: str) -> tuple[StoredTip, StoredTip]:
    """Both, each naming the other once."""
    return _naming(new, CONTRADICTS, known.id, reason), _naming(known, CONTRADICTED_BY, new.id, reason)


def settled(changed: Mapping[str, StoredTip], known: Mapping[str, StoredTip]) -> dict[str, StoredTip]:
    """The changed tips, and others that their change retires or brings back.

    A tip without evidence, which is about to be deleted, contradicts nothing any more. A tip gives way to one
    that is strictly better backed and stands itself; a person's never does, and what a person retired or is
    still to look at has no say.
    """
    after = {**known, **changed}
    group = _related(changed, after)
    standing: list[StoredTip] = []
    result = dict(changed)
    for tip in sorted(group, key=lambda tip: (_descending(backing(tip)), tip.id)):
        free = _without(tip, [i for i in opponents(tip) if i not in after or not after[i].stays])
        against = [other for other in standing if other.id in opponents(free)]
        better = next((other for other in against if backing(other) > backing(tip)), None)
        if not tip.is_kept:
            free = _gives_way(free, better)
        if free.metadata.get("status") == "active" and free.stays:
            standing.append(free)
        if free != tip:
            result[tip.id] = free
    return result


def _related(changed: Mapping[str, StoredTip], tips: Mapping[str, StoredTip]) -> list[StoredTip]:
    """The changed tips that contradict others, and all that are linked to them by contradictions."""
    found = {tip.id: tip for tip in changed.values() if opponents(tip)}
    to_follow = list(found.values())
    while to_follow:
        for tip_id in opponents(to_follow.pop()):
            if tip_id in tips and tip_id not in found:
                found[tip_id] = tips[tip_id]
                to_follow.append(tips[tip_id])
    return list(found.values())


def _gives_way(tip: StoredTip, better: StoredTip | None) -> StoredTip:
    """The tip retired for that one, or brought back where there is none; not what others took off."""
    status, metadata = tip.metadata.get("status"), dict(tip.metadata)
    retired_for = metadata.pop(RETIRED_FOR, None)
    if better and (status == "active" or retired_for):
        metadata |= {"status": "retired", RETIRED_FOR: better.id}
    elif not better and retired_for:
        metadata["status"] = "active"
    else:
        return tip
    return replace(tip, metadata=metadata)


def _naming(tip: StoredTip, key: str, other_id: str, reason: str) -> StoredTip:
    names: list[Any] = [*(tip.metadata.get(key) or ()), other_id]
    reasons = {**(tip.metadata.get(REASONS) or {}), other_id: reason}
    return replace(tip, metadata={**tip.metadata, key: list(dict.fromkeys(names)), REASONS: reasons})


def _without(tip: StoredTip, gone: Iterable[str]) -> StoredTip:
    gone = set(gone)
    if not gone:
        return tip
    metadata = dict(tip.metadata)
    for key in (CONTRADICTS, CONTRADICTED_BY):
        if key in metadata:
            metadata[key] = [other_id for other_id in metadata[key] if other_id not in gone]
    metadata[REASONS] = {i: why for i, why in (metadata.get(REASONS) or {}).items() if i not in gone}
    return replace(tip, metadata={k: v for k, v in metadata.items() if k not in _EMPTY_GOES or v})


def _descending(backed: Backing) -> tuple[int, ...]:
    return tuple(-int(part) for part in backed)
