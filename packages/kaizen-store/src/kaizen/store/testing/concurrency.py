"""The contract of many at once, and of crashes: no commit is lost, and none is there by half."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError
from kaizen.store.testing import workers
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store

WRITERS = 4
ROUNDS = 15
ROUNDS_PER_NAMESPACE = 10


class ConcurrencyContract(StoreFixtures):
    def test_threads_sharing_a_store_lose_no_update(self, store: Store, open_store: OpenStore) -> None:
        _increment_in_threads([store] * WRITERS)
        _assert_all_counted(open_store)

    def test_stores_in_one_process_lose_no_update(self, store: Store, open_store: OpenStore) -> None:
        others = [open_store() for _ in range(WRITERS - 1)]
        _increment_in_threads([store, *others])
        for other in others:
            other.close()
        _assert_all_counted(open_store)

    def test_processes_lose_no_update(self, store: Store, open_store: OpenStore) -> None:
        processes = [
            workers.start(open_store, "increment", NAMESPACE, str(writer), str(ROUNDS))
            for writer in range(WRITERS)
        ]
        versions = [int(line) for process in processes for line in process.communicate()[0].split()]
        assert [process.returncode for process in processes] == [0] * WRITERS
        assert sorted(versions) == list(range(1, WRITERS * ROUNDS + 1))
        assert store.get(NAMESPACE, "counter").content == str(WRITERS * ROUNDS)
        _assert_all_counted(open_store)

    def test_commits_without_an_expectation_all_succeed(self, store: Store) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            commits = list(pool.map(lambda n: store.commit(NAMESPACE, [put("e", str(n))]), range(40)))
        assert sorted(commit.version for commit in commits) == list(range(1, 41))
        assert store.get(NAMESPACE, "e").revision == 40
        last = max(commits, key=lambda commit: commit.version)
        assert store.get(NAMESPACE, "e") == last.changes[0].after

    def test_of_many_who_expect_the_same_one_wins(self, store: Store) -> None:
        def attempt(number: int) -> bool:
            try:
                store.commit(NAMESPACE, [put("e", str(number))], expected=0)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(WRITERS) as pool:
            assert sum(pool.map(attempt, range(20))) == 1
        assert store.get_namespace(NAMESPACE).version == 1

    def test_of_many_who_create_a_namespace_one_wins(self, open_store: OpenStore) -> None:
        def attempt(_: int) -> bool:
            with open_store() as store:
                try:
                    store.create_namespace("raced")
                except ConflictError:
                    return False
                return True

        with ThreadPoolExecutor(WRITERS) as pool:
            assert sum(pool.map(attempt, range(12))) == 1

    def test_a_reader_never_sees_half_a_commit(self, store: Store, open_store: OpenStore) -> None:
        process = workers.start(open_store, "commit_for_ever", NAMESPACE)
        try:
            seen = [store.get_many(NAMESPACE, workers.GROUP) for _ in range(200)]
            while store.get_namespace(NAMESPACE).version < 20:
                assert process.poll() is None, "the writing process has ended"
                seen.append(store.get_many(NAMESPACE, workers.GROUP))
        finally:
            process.kill()
            process.communicate()
        assert all(len({entity.content for entity in entities.values()}) <= 1 for entities in seen)
        assert all(len(entities) in (0, len(workers.GROUP)) for entities in seen)


def _increment_in_threads(stores: list[Store]) -> None:
    def work(writer: int) -> None:
        for number in range(ROUNDS):
            workers.increment_once(stores[writer], NAMESPACE, f"{writer}-{number}")

    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(work, range(len(stores))))


def _assert_all_counted(open_store: OpenStore) -> None:
    with open_store() as store:
        assert store.get(NAMESPACE, "counter").content == str(WRITERS * ROUNDS)
        assert store.count(NAMESPACE) == WRITERS * ROUNDS + 1
        versions = [commit.version for commit in store.commits(NAMESPACE, limit=1000)]
        assert versions == list(range(1, WRITERS * ROUNDS + 1))


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
    # What it printed before it died was acknowledged too.
    rest, _ = process.communicate()
    return int([*acknowledged, *rest.splitlines()][-1])
