"""The contract of crashes: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from kaizen.store.testing import workers
from kaizen.store.testing.fixtures import OpenStore, StoreFixtures

ROUNDS_PER_NAMESPACE = 10

if TYPE_CHECKING:
    from kaizen.store.contract import Store


class CrashContract(StoreFixtures):
    kill_rounds = int(os.environ.get("STORE_CONTRACT_KILL_ROUNDS", "10"))

    def test_a_process_killed_amid_commits_loses_none_and_leaves_no_half(
        self, store: Store, open_store: OpenStore
    ) -> None:
        for number in range(self.kill_rounds):
            # A namespace lives through several crashes, and not through so many that reading it takes long.
            namespace_id = f"crashing-{number // ROUNDS_PER_NAMESPACE}"
            earlier = store.create_namespace(namespace_id, exist_ok=True).version
            acknowledged = _commit_until_killed(open_store, namespace_id)
            with open_store() as reopened:
                version = reopened.get_namespace(namespace_id).version
                assert version >= acknowledged
                group = reopened.get_many(namespace_id, workers.GROUP)
                assert {entity.content for entity in group.values()} == {str(version)}
                assert {entity.revision for entity in group.values()} == {version}
                assert len(group) == len(workers.GROUP)
            commits = store.commits(namespace_id, after=earlier, limit=1000)
            assert [commit.version for commit in commits] == list(range(earlier + 1, version + 1))


def _commit_until_killed(open_store: OpenStore, namespace_id: str) -> int:
    """The last version that was acknowledged to a process that is killed while it commits."""
    process = workers.start(open_store, "commit_for_ever", namespace_id)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(random.randint(1, 8))]  # noqa: S311
    process.kill()
    rest, _ = process.communicate()
    return int([*acknowledged, *rest.splitlines()][-1])
