"""Tips that people deleted: learning again must not bring them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.store import read_commits
from kaizen.sync.knowledge.claim_tests import same_lesson
from kaizen.sync.state.records import ACTOR
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.reading import read_tips
from kaizen.tips.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Store
    from kaizen.tips.tip import StoredTip, Tip


def deleted_by_people(store: Store, namespace_id: str) -> list[StoredTip]:
    """Return the tips that somebody deleted, as they were."""
    deleted: dict[str, StoredTip] = {}
    for commit in read_commits(store, namespace_id):
        for change in commit.changes:
            if change.after is not None:
                deleted.pop(change.entity_id, None)
            elif (entity := change.before) and entity.type == GUIDELINE and _is_by_hand(commit.actor):
                deleted |= {tip.id: tip for tip in read_tips([entity])}
    return list(deleted.values())


def is_deleted(tip: Tip, deleted: Iterable[StoredTip]) -> bool:
    """Return whether a tip says what somebody deleted, in the same words or about the same error."""
    deleted = list(deleted)
    if any(fold(tip.content) == fold(other.content) for other in deleted):
        return True
    return bool(tip.claim) and same_lesson(tip, deleted) is not None


def _is_by_hand(actor: str) -> bool:
    # Undoing takes back what was learned, and says nothing against it.
    return not actor.startswith(ACTOR) and "revert" not in actor
