"""Read tips from a store, where people and other programs may have put anything."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kaizen.store import ConflictError
from kaizen.tips.checks import GUIDELINE, InvalidTipError
from kaizen.tips.tip import STATUSES, StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.store import Entity, Store

_log = logging.getLogger(__name__)


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


def migrate_tips(store: Store, namespace_id: str, *, actor: str) -> int:
    """Write the status into all tips of before that have none, in one commit; return how many.

    So that a search for active tips finds them. If others change one meanwhile, the next call does it.
    """
    # Every sync asks, also one with nothing new: counting costs sqlite a tenth of looking for what is absent.
    with_status = sum(store.count(namespace_id, type=GUIDELINE, where={"status": s}) for s in STATUSES)
    if with_status == store.count(namespace_id, type=GUIDELINE):
        return 0
    entities = list(store.iterate(namespace_id, type=GUIDELINE, where={"status": None}))
    revisions = {entity.id: entity.revision for entity in entities}
    puts = [tip.to_put() for tip in read_tips(entities)]
    if not puts:
        return 0
    expected = {str(put.id): revisions[str(put.id)] for put in puts}
    try:
        store.commit(namespace_id, puts, expected=expected, actor=actor, reason="tips of before, with status")
    except ConflictError:
        return 0
    return len(puts)
