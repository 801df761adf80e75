"""All tips of a namespace as of one version, kept up to date from the commits that others make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.records import GUIDELINE, StoredTip

if TYPE_CHECKING:
    from kaizen.store import Commit, Store


class TipBook:
    """`tips` by id are those of the namespace at `version`: a commit that expects it sees no other state."""

    def __init__(self, store: Store, namespace_id: str) -> None:
        self._store = store
        self._namespace_id = namespace_id
        # Read before the tips: a commit made while they are listed is applied again, which is harmless.
        self.version = store.get_namespace(namespace_id).version
        self.tips = {e.id: StoredTip.of(e) for e in store.iterate(namespace_id, type=GUIDELINE)}
        self.refresh()

    def refresh(self) -> None:
        """Take in what others committed since."""
        while commits := self._store.commits(self._namespace_id, after=self.version):
            for commit in commits:
                self.apply(commit)

    def apply(self, commit: Commit) -> None:
        """Take in one commit, the next one after `version`."""
        for change in commit.changes:
            if change.after is not None and change.after.type == GUIDELINE:
                self.tips[change.after.id] = StoredTip.of(change.after)
            elif change.before is not None and change.before.type == GUIDELINE:
                self.tips.pop(change.before.id, None)
        self.version = commit.version
