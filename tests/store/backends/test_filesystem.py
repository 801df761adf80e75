"""The filesystem backend keeps the contract of a store, and has files that people can rely on."""

from __future__ import annotations

import json
import multiprocessing
from functools import partial
from pathlib import Path

import pytest

from kaizen.store import (
    CorruptDataError,
    Delete,
    NotFoundError,
    Put,
    Store,
    StoreSettings,
    UnavailableError,
    open_store,
)
from kaizen.store.backends.filesystem.names import file_name, namespace_id_of
from kaizen.store.backends.filesystem.store import FilesystemBackend
from kaizen.store.files import lock_file
from kaizen.store.filtering import Filter
from kaizen.store.testing import OpenStore, StoreContract
from tests.support.slow import KILL_ROUNDS, SLOW


class TestFilesystemStore(StoreContract):
    kill_rounds = KILL_ROUNDS
    model_examples = 15 if SLOW else 8

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(
            FilesystemBackend.open,
            StoreSettings(backend="filesystem", data_dir=tmp_path / "data", embedder="none"),
        )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path) -> Store:
    return open_store(StoreSettings(backend="filesystem", data_dir=data_dir))


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_reading_creates_nothing(store: Store, data_dir: Path) -> None:
    assert store.list_namespaces() == []
    for call in (lambda: store.count("n"), lambda: store.commit("n", [Put(type="t", content="")])):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(NotFoundError):
        store.delete_namespace("n")
    assert not data_dir.exists()


def test_a_new_data_directory_is_open_to_its_owner_only(store: Store, data_dir: Path) -> None:
    store.create_namespace("n")
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_a_journal_is_a_header_and_a_line_of_json_per_commit(store: Store, data_dir: Path) -> None:
    namespace = store.create_namespace("n")
    put = Put(id="é", type="guideline", content="first\nsecond", metadata={"category": "recovery"})
    commit = store.commit("n", [put], actor="ann", reason="why", run_id="r")
    store.commit("n", [Delete(id="é")])
    text = (data_dir / "namespaces" / "n.jsonl").read_text(encoding="utf-8")
    header, first, second = (json.loads(line) for line in text.split("\n")[:-1])
    assert header == {
        "kaizen_journal": 1,
        "namespace_id": "n",
        "created_at": namespace.created_at.isoformat().replace("+00:00", "Z"),
    }
    at = commit.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    entity = {"id": "é", "type": "guideline", "revision": 1, "created_at": at}
    assert first == {
        "version": 1,
        "id": commit.id,
        "at": at,
        "actor": "ann",
        "reason": "why",
        "run_id": "r",
        "changes": [{"put": {**entity, "content": "first\nsecond", "metadata": {"category": "recovery"}}}],
    }
    assert second["changes"] == [{"delete": "é"}]
    assert "é" in text


def test_a_commit_adds_to_the_file_and_rewrites_nothing(store: Store, data_dir: Path) -> None:
    store.create_namespace("n")
    path = data_dir / "namespaces" / "n.jsonl"
    before, inode = path.read_bytes(), path.stat().st_ino
    for number in range(5):
        store.commit("n", [Put(id="e", type="t", content=str(number))])
        after = path.read_bytes()
        assert after.startswith(before)
        assert after.count(b"\n") == number + 2
        before = after
    assert path.stat().st_ino == inode


def test_deleting_a_namespace_leaves_only_its_empty_lock(store: Store, data_dir: Path) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(type="t", content="")])
    (data_dir / "namespaces" / "n.torn").write_bytes(b"torn")
    store.delete_namespace("n")
    assert files_below(data_dir) == ["locks/n.lock"]
    assert (data_dir / "locks" / "n.lock").stat().st_size == 0


def test_check_leaves_no_file(store: Store, data_dir: Path) -> None:
    store.create_namespace("n")
    before = files_below(data_dir)
    store.check()
    assert files_below(data_dir) == before


def test_a_namespace_replaced_by_another_process_is_noticed_though_size_and_inode_are_the_same(
    store: Store, data_dir: Path
) -> None:
    for round_ in range(20):
        other = open_store(StoreSettings(backend="filesystem", data_dir=data_dir))
        other.create_namespace("n")
        other.commit("n", [Put(id="e", type="t", content=f"{round_:02}")])
        assert store.get("n", "e").content == f"{round_:02}"
        other.delete_namespace("n")


def test_a_journal_replaced_by_an_older_copy_is_read_anew(store: Store, data_dir: Path) -> None:
    path = data_dir / "namespaces" / "n.jsonl"
    store.create_namespace("n")
    store.commit("n", [Put(id="e", type="t", content="old")])
    copy = path.read_bytes()
    store.commit("n", [Put(id="e", type="t", content="new")])
    assert store.get("n", "e").content == "new"
    path.write_bytes(copy)
    assert store.get("n", "e").content == "old"
    assert store.commit("n", [Put(id="e", type="t", content="newer")]).version == 2


@pytest.mark.parametrize(
    ("namespace_id", "name"),
    [
        ("kaizen", "kaizen"),
        ("Team-A", "!team-!a"),
        ("con", "!!con"),
        ("CON", "!c!o!n"),
        ("nul.txt", "!!nul.txt"),
        ("com1", "!!com1"),
        ("console", "console"),
    ],
)
def test_the_file_name_of_a_namespace_is_safe_on_every_file_system(namespace_id: str, name: str) -> None:
    assert file_name(namespace_id) == name
    assert namespace_id_of(name) == namespace_id


@pytest.mark.parametrize("name", ["Kaizen", "a b", "!1", "con", "!!kaizen", "", "..", "a!", "!!"])
def test_no_other_file_name_stands_for_a_namespace(name: str) -> None:
    assert namespace_id_of(name) is None


def test_a_journal_that_no_namespace_can_have_is_named_rather_than_skipped(
    store: Store, data_dir: Path
) -> None:
    store.create_namespace("n")
    stray = data_dir / "namespaces" / "n (copy).jsonl"
    stray.write_bytes(b"")
    with pytest.raises(CorruptDataError, match="copy") as caught:
        store.list_namespaces()
    assert caught.value.path == str(stray)
    stray.rename(data_dir / "namespaces" / ".n.jsonl.swp")
    assert [namespace.id for namespace in store.list_namespaces()] == ["n"]


def test_a_file_in_place_of_the_data_directory_is_said(store: Store, data_dir: Path) -> None:
    data_dir.write_text("in the way")
    for call in (
        lambda: store.create_namespace("n"),
        lambda: store.get_namespace("n"),
        lambda: store.commit("n", [Put(type="t", content="")]),
        lambda: store.list_namespaces(),
        lambda: store.delete_namespace("n"),
        lambda: store.check(),
    ):
        with pytest.raises(UnavailableError, match="KAIZEN_DATA_DIR") as caught:
            call()
        assert str(data_dir) in str(caught.value)
    assert data_dir.read_text() == "in the way"


def test_a_directory_in_place_of_a_journal_is_said(store: Store, data_dir: Path) -> None:
    (data_dir / "namespaces" / "n.jsonl").mkdir(parents=True)
    with pytest.raises(UnavailableError, match=r"n\.jsonl"):
        store.get_namespace("n")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")]
)
def test_a_directory_without_permission_is_said(
    store: Store, data_dir: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    # The error is raised by hand, since permission bits do not stop the root user that tests may run as.
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error.errno, error.strerror, str(data_dir))

    monkeypatch.setattr("kaizen.store.files.os.open", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    for call in (lambda: store.create_namespace("n"), store.check):
        with pytest.raises(UnavailableError, match=f"{error.strerror}.*KAIZEN_DATA_DIR") as caught:
            call()
        assert str(data_dir) in str(caught.value)


def test_check_finds_damage_in_any_namespace(store: Store, data_dir: Path) -> None:
    store.create_namespace("good")
    store.create_namespace("bad")
    with (data_dir / "namespaces" / "bad.jsonl").open("ab") as file:
        file.write(b"damage\n")
    with pytest.raises(CorruptDataError, match="line 2"):
        open_store(StoreSettings(backend="filesystem", data_dir=data_dir)).check()


def test_a_lock_that_is_never_freed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "n.lock"
    with (
        lock_file(path),
        pytest.raises(UnavailableError, match=r"n\.lock.*another process"),
        lock_file(path, timeout_s=0.02),
    ):
        pass
    with lock_file(path, timeout_s=0.02):
        pass


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_process_forked_amid_a_commit_does_not_keep_the_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    done = context.Event()
    path = tmp_path / "n.lock"
    with lock_file(path):
        child = context.Process(target=done.wait, args=(30,))
        child.start()
    try:
        with lock_file(path, timeout_s=5):
            assert child.is_alive()
    finally:
        done.set()
        child.join()


def test_what_a_filter_selects_is_found_without_looking_at_the_rest(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(StoreSettings(backend="filesystem", data_dir=data_dir)) as store:
        store.create_namespace("n")
        store.commit(
            "n",
            [
                Put(id=f"{n:04}", type=f"type-{n % 3}", content="", metadata={"tip": n // 10, "a": {"x": 1}})
                for n in range(1_000)
            ],
        )
        store.commit("n", [Delete(id="0070"), Put(id="0071", type="type-0", content="", metadata={"tip": 8})])
        looked_at = []
        selects = Filter.selects
        monkeypatch.setattr(
            Filter, "selects", lambda self, entity: looked_at.append(entity.id) or selects(self, entity)
        )
        found = [entity.id for entity in store.iterate("n", where={"a.x": 1.0, "tip": 7})]
        assert found == [f"00{n}" for n in range(72, 80)]
        assert [entity.id for entity in store.iterate("n", where={"tip": 8})] == [
            "0071",
            *map("00{}".format, range(80, 90)),
        ]
        assert store.count("n", type="type-1", where={"tip": 9}) == 3
        assert len(looked_at) < 50
        assert (store.count("n"), store.count("n", type="none")) == (999, 0)
        assert store.list("n", type="type-2", after="0990", limit=2).entities[0].id == "0992"
        assert len(looked_at) < 50
