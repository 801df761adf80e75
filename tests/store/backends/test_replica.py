"""The copy in which stores without a search of their own are searched: shared, lost, damaged."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from kaizen.store import CorruptDataError, Put, Store, StoreError, StoreSettings, open_store

N = "n"
COMMITS = 210


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with reopen(tmp_path) as store:
        store.create_namespace(N)
        store.commit(N, [Put(id="e", type="t", content="needle")])
        yield store


def reopen(directory: Path) -> Store:
    return open_store(StoreSettings(backend="filesystem", data_dir=directory, embedder="none"))


def found(store: Store) -> int:
    return len(store.search(N, "needle", limit=1_000))


def fill(store: Store) -> None:
    for number in range(COMMITS - 1):
        store.commit(N, [Put(id=str(number), type="t", content="needle")])


@pytest.mark.parametrize("stores", [1, 4])
def test_threads_that_search_at_once_all_find_everything(store: Store, tmp_path: Path, stores: int) -> None:
    fill(store)
    opened = [reopen(tmp_path) for _ in range(stores)]
    together = Barrier(4)

    def search(number: int) -> int:
        together.wait(60)
        return found(opened[number % stores])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(search, range(4))) == [COMMITS] * 4
    for each in opened:
        each.close()


def test_processes_that_search_at_once_all_find_everything(store: Store, tmp_path: Path) -> None:
    fill(store)
    code = (
        "import sys; from pathlib import Path; from tests.store.backends.test_replica import found, reopen; "
        "store = reopen(Path(sys.argv[1])); print('ready', flush=True); input(); print(found(store))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=180)[0] for process in processes] == [f"{COMMITS}\n"] * 3


def test_a_copy_that_got_lost_is_made_anew_without_opening_the_store_again(
    store: Store, tmp_path: Path
) -> None:
    assert found(store) == 1
    shutil.rmtree(tmp_path / "search")
    assert found(store) == 1
    store.commit(N, [Put(id="more", type="t", content="needle")])
    shutil.rmtree(tmp_path / "search")
    assert found(store) == 2


def test_a_copy_that_another_process_began_anew_is_completed(store: Store, tmp_path: Path) -> None:
    store.create_namespace("other")
    assert found(store) == 1
    shutil.rmtree(tmp_path / "search")
    with reopen(tmp_path) as another:
        assert another.search("other", "needle") == []
    assert found(store) == 1


def test_a_journal_replaced_by_one_of_as_many_commits_is_searched_as_it_is_now(
    store: Store, tmp_path: Path
) -> None:
    """As `git checkout` of another branch does it: the same beginning, another last commit."""
    path = tmp_path / "namespaces" / f"{N}.jsonl"
    other = path.read_bytes()
    store.commit(N, [Put(id="mine", type="t", content="needle")])
    assert found(store) == 2
    mine = path.read_bytes()
    path.write_bytes(other)
    store.commit(N, [Put(id="theirs", type="t", content="hay")])
    assert found(store) == 1
    path.write_bytes(mine)
    assert found(store) == 2


def test_a_copy_that_is_damaged_is_made_anew_without_opening_the_store_again(
    store: Store, tmp_path: Path
) -> None:
    assert found(store) == 1
    copy = tmp_path / "search" / "kaizen.db"
    for end in ("-wal", "-shm"):
        copy.with_name(f"{copy.name}{end}").unlink(missing_ok=True)
    copy.unlink()
    copy.write_bytes(b"damage " * 1_000)
    assert found(store) == 1


def test_an_error_of_the_store_leaves_its_copy_alone(store: Store, tmp_path: Path) -> None:
    store.create_namespace("damaged")
    assert found(store) == 1
    copy = tmp_path / "search" / "kaizen.db"
    before = copy.stat().st_ino
    with (tmp_path / "namespaces" / "damaged.jsonl").open("ab") as file:
        file.write(b"damage\n")
    with pytest.raises(CorruptDataError, match=r"damaged\.jsonl, line 2"):
        store.search("damaged", "needle")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        found(store)
    assert copy.stat().st_ino == before
