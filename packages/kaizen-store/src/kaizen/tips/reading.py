"""Read tips and their evidence from a store, where people and other programs may have put anything."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from kaizen.store import ConflictError
from kaizen.tips.checks import GUIDELINE, InvalidTipError, check_tip
from kaizen.tips.evidence import EVIDENCE, StoredSource
from kaizen.tips.tip import SCHEMA_VERSION, StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.store import Change, Entity, Store
    from kaizen.tips.evidence import StoryKey

_log = logging.getLogger(__name__)

# Few enough for a commit to take a second at most, however many sources a tip of before has.
_CHANGES_AT_ONCE = 1_000


def read_tip(entity: Entity) -> StoredTip | None:
    """Return the tip, or None if it is not valid; then name it in a warning."""
    try:
        return StoredTip.of(entity)
    except InvalidTipError as error:
        _log.warning("Left out: %s", error)
        return None


def read_tips(entities: Iterable[Entity]) -> Iterator[StoredTip]:
    """Yield the tips, and name those that are not valid in one warning each."""
    return (tip for entity in entities if (tip := read_tip(entity)) is not None)


def read_evidence(store: Store, namespace_id: str, tip: StoredTip) -> Iterator[StoredSource]:
    """Yield all that backs a tip, that of the tips merged into it too, in no order."""
    yield from (each for each in tip.unstored.values() if each)
    for tip_id in tip.evidence_tip_ids:
        found = store.iterate(namespace_id, type=EVIDENCE, where={"tip_id": tip_id})
        yield from (each for each in _read_sources(found) if each.id not in tip.unstored)


def newest_evidence(store: Store, namespace_id: str, tip: StoredTip) -> list[StoredSource]:
    """Return all that backs a tip, the newest first."""
    evidence = list(read_evidence(store, namespace_id, tip))
    # A tip of before has them in order.
    unstored = [each for each in reversed(evidence) if each.found_at is None]
    dated = [(each.found_at, each.id, each) for each in evidence if each.found_at]
    return [*unstored, *(each for _, _, each in sorted(dated, key=lambda dated: dated[:2], reverse=True))]


def story_evidence(store: Store, namespace_id: str, story: StoryKey) -> list[StoredSource]:
    """Return the evidence that a story gave, for whichever tips."""
    found = store.iterate(namespace_id, type=EVIDENCE, where={"story_id": story.story_id})
    return [each for each in _read_sources(found) if each.source.story == story]


def read_source(entity: Entity) -> StoredSource | None:
    """Return the evidence, or None if it is not valid; then name it in a warning."""
    try:
        check_tip(entity)
    except InvalidTipError as error:
        _log.warning("Left out: %s", error)
        return None
    return StoredSource.of(entity)


def _read_sources(entities: Iterable[Entity]) -> Iterator[StoredSource]:
    return (stored for entity in entities if (stored := read_source(entity)) is not None)


def migrate_tips(store: Store, namespace_id: str, *, actor: str) -> int:
    """Store tips of before in the form of now, each of their sources as an entity; return how many tips.

    In commits of at most 1,000 changes, the tip last: until then it counts as it was. Where this is killed,
    or others change a tip meanwhile, the next call goes on.
    """
    # Every sync asks, also one with nothing new: counting costs sqlite a tenth of looking for what is absent.
    current = store.count(namespace_id, type=GUIDELINE, where={"schema_version": SCHEMA_VERSION})
    if current == store.count(namespace_id, type=GUIDELINE):
        return 0
    migrated = 0
    changes = _migrations(store, namespace_id)
    while batch := list(islice(changes, _CHANGES_AT_ONCE)):
        try:
            store.commit(
                namespace_id,
                [change for change, _ in batch],
                # That of the tip with each source too: a tip that is migrated already may have lost some.
                expected={entity.id: entity.revision for _, entity in batch},
                actor=actor,
                reason="tips of before, with their evidence as entities",
            )
        except ConflictError:
            break
        migrated += sum(change.id == entity.id for change, entity in batch)
    return migrated


def _migrations(store: Store, namespace_id: str) -> Iterator[tuple[Change, Entity]]:
    """Yield the changes that migrate tips, each with its tip as it is."""
    for version in (None, *range(1, SCHEMA_VERSION)):
        for entity in store.iterate(namespace_id, type=GUIDELINE, where={"schema_version": version}):
            if tip := read_tip(entity):
                yield from ((change, entity) for change in _migrated(store, namespace_id, tip))


def _migrated(store: Store, namespace_id: str, tip: StoredTip) -> Iterator[Change]:
    """Yield the changes for the evidence of a tip of before, as far as it is not stored yet, and the tip."""
    evidence = {each.id: each for each in read_evidence(store, namespace_id, tip)}
    counted = tip.with_evidence(list(evidence.values())) if evidence else tip
    there = _read_sources(store.get_many(namespace_id, list(tip.unstored)).values())
    known = {each.id for each in there if each == tip.unstored[each.id]}
    return (change for change in reversed(counted.to_changes()) if change.id not in known)
