"""The sqlite backend keeps the contract of a store, and has a file that people can rely on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from kaizen.store import (
    CorruptDataError,
    Delete,
    NotFoundError,
    Put,
    StoreError,
    StoreSettings,
    UnavailableError,
)
from kaizen.store.backends.sqlite import connections as sqlite_connections
from kaizen.store.backends.sqlite import schema as sqlite_schema
from kaizen.store.backends.sqlite.reading import Selection
from kaizen.store.backends.sqlite.store import SqliteBackend, SqliteStore
from kaizen.store.filtering import Filter
from kaizen.store.testing import OpenStore, StoreContract
from tests.support.slow import KILL_ROUNDS, SLOW


class TestSqliteStore(StoreContract):
    kill_rounds = KILL_ROUNDS
    model_examples = 15 if SLOW else 8

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(SqliteBackend.open, StoreSettings(data_dir=tmp_path / "data", embedder="none"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "kaizen.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path, embedder="none") as store:
        yield store


def test_reading_creates_nothing(store: SqliteStore, path: Path) -> None:
    assert store.list_namespaces() == []
    for call in (
        lambda: store.count("n"),
        lambda: store.search("n", "x"),
        lambda: store.delete_namespace("n"),
    ):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(NotFoundError):
        store.commit("n", [Put(type="t", content="")])
    assert not path.parent.exists()


def test_a_new_data_directory_is_open_to_its_owner_only(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_commit_is_on_the_disk_before_it_returns(store: SqliteStore) -> None:
    store.create_namespace("n")
    with store._connections.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_of_a_newer_version_is_refused_and_left_alone(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    with store._connections.writing() as connection:
        connection.execute("INSERT INTO migrations VALUES (99, 'some day')")
    store.close()
    before = path.read_bytes()
    with SqliteStore(path, embedder="none") as newer, pytest.raises(StoreError, match="newer kaizen-store"):
        newer.create_namespace("other")
    assert path.read_bytes() == before


def test_an_older_file_is_backed_up_and_then_migrated(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id="e", type="t", content="kept")])
    store.close()
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, "CREATE TABLE added (x)"))
    with SqliteStore(path, embedder="none") as migrated:
        assert migrated.get("n", "e").content == "kept"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM migrations ORDER BY version").fetchall() == [
            (1,),
            (2,),
            (3,),
        ]
        assert connection.execute("SELECT * FROM added").fetchall() == []
    with closing(sqlite3.connect(path.with_name("kaizen.db.schema-2.bak"))) as backup:
        assert backup.execute("SELECT max(version) FROM migrations").fetchone() == (2,)
        assert backup.execute("SELECT content FROM states").fetchall() == [("kept",)]


def test_words_that_an_older_version_indexed_are_found_like_new_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older, SqliteStore(path, embedder="none") as store:
        older.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:1])
        older.setattr("kaizen.store.backends.sqlite.writing.fold_text", str)
        store.create_namespace("n")
        store.commit("n", [Put(id=str(n), type=f"t{n % 2}", content=f"Straße {n}") for n in range(40)])
        store.commit("n", [Put(id="0", type="t0", content="changed"), Delete(id="1")])
        assert store.search("n", "strasse") == []
    with SqliteStore(path, embedder="none") as store:
        found = {hit.entity.id for hit in store.search("n", "strasse", limit=50)}
        assert found == {str(n) for n in range(2, 40)}
        assert [hit.entity.id for hit in store.search("n", "changed")] == ["0"]


def test_a_migration_that_fails_changes_nothing(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_namespace("n")
    store.close()
    with monkeypatch.context() as patch:
        failing = "CREATE TABLE added (x);\nCREATE TABLE states (x)"
        patch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, failing))
        with SqliteStore(path, embedder="none") as migrated, pytest.raises(UnavailableError, match="states"):
            migrated.list_namespaces()
    with SqliteStore(path, embedder="none") as again:
        assert [namespace.id for namespace in again.list_namespaces()] == ["n"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'added'").fetchone() is None


def test_processes_that_start_at_once_make_one_schema(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kaizen.store.backends.sqlite.store import SqliteStore\n"
        "SqliteStore(Path(sys.argv[1]), embedder='none').create_namespace('n', exist_ok=True)"
    )
    path = tmp_path / "data" / "kaizen.db"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [(b"", 0)] * 4


def test_damage_is_said_with_the_file(store: SqliteStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and it is longer than a header " * 10)
    for call in (store.list_namespaces, lambda: store.create_namespace("n"), store.check):
        with pytest.raises(CorruptDataError, match=r"kaizen\.db.*restore the file from a backup"):
            call()
    assert path.read_bytes().startswith(b"this is no database")


def test_a_file_in_place_of_the_data_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with SqliteStore(tmp_path / "data" / "kaizen.db", embedder="none") as store:
        for call in (store.list_namespaces, lambda: store.create_namespace("n"), store.check):
            with pytest.raises(UnavailableError, match="KAIZEN_DATA_DIR"):
                call()


def test_a_writer_that_hangs_is_not_waited_for_for_ever(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_namespace("n")
    monkeypatch.setattr(sqlite_connections, "BUSY_TIMEOUT_S", 0.05)
    with store._connections.writing(), SqliteStore(store._connections.path, embedder="none") as other:
        assert other.count("n") == 0
        with pytest.raises(UnavailableError, match="another process has been writing"):
            other.commit("n", [Put(type="t", content="")])


def test_a_disk_that_is_full_changes_nothing(store: SqliteStore) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id="e", type="t", content="kept")])
    with store._connections.writing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(UnavailableError, match="free some space"):
        store.commit("n", [Put(id="e", type="t", content="lost" * 100_000)])
    assert store.get("n", "e").content == "kept"
    assert store.get_namespace("n").version == 1


def test_a_forked_child_opens_connections_of_its_own(store: SqliteStore) -> None:
    store.create_namespace("n")
    child = os.fork()
    if child == 0:
        store.commit("n", [Put(id="child", type="t", content="")])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    store.commit("n", [Put(id="parent", type="t", content="")])
    assert [entity.id for entity in store.iterate("n")] == ["child", "parent"]
    assert store.get_namespace("n").version == 2


def test_what_a_forked_child_commits_is_kept_though_its_parent_closes(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    other = SqliteStore(path, embedder="none")
    assert other.count("n") == 0
    (started, start), (went_on, go_on) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        store.commit("n", [Put(id="first", type="t", content="")])
        os.write(start, b"x")
        os.read(went_on, 1)
        store.commit("n", [Put(id="second", type="t", content="")])
        os._exit(0)
    os.read(started, 1)
    store.close()
    other.close()
    os.write(go_on, b"x")
    assert os.waitpid(child, 0)[1] == 0
    with SqliteStore(path, embedder="none") as reopened:
        assert [entity.id for entity in reopened.iterate("n")] == ["first", "second"]


def test_damage_that_reading_does_not_meet_is_found_by_check(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id=str(number), type="t", content="") for number in range(300)])
    store.check()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'states_by_entity'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[root * size - 60 : root * size - 40] = b"Z" * 20
    path.write_bytes(data)
    with SqliteStore(path, embedder="none") as damaged:
        assert damaged.get("n", "7").content == ""
        with pytest.raises(CorruptDataError, match="restore the file from a backup"):
            damaged.check()


def test_a_file_that_was_restored_from_a_backup_is_the_one_that_is_written_to(
    store: SqliteStore, path: Path
) -> None:
    store.create_namespace("n")
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(path.with_suffix(".bak"))) as backup,
    ):
        source.backup(backup)
    store.commit("n", [Put(id="lost", type="t", content="")])
    for end in ("", "-wal", "-shm"):
        path.with_name(f"kaizen.db{end}").unlink()
    with pytest.raises(NotFoundError):
        store.commit("n", [Put(id="early", type="t", content="")])
    path.with_suffix(".bak").replace(path)
    store.commit("n", [Put(id="kept", type="t", content="")])
    with SqliteStore(path, embedder="none") as reopened:
        assert [entity.id for entity in reopened.iterate("n")] == ["kept"]


def test_a_filtered_page_reads_only_what_it_shows(store: SqliteStore) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id=f"{i:04}", type="t", content="", metadata={"c": i % 2}) for i in range(400)])
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with store._connections.reading() as connection:
        connection.set_progress_handler(count, 100)
    where = {"c": 1}
    for after in (None, "0300"):
        steps = 0
        page = store.list("n", type="t", where=where, after=after, limit=5)
        assert [int(entity.id) % 2 for entity in page.entities] == [1] * 5
        assert steps < 10


def test_namespaces_share_no_rows(store: SqliteStore) -> None:
    for name in ("a", "b"):
        store.create_namespace(name)
        store.commit(name, [Put(id="e", type="t", content=f"needle {name}", metadata={"x": name})])
    store.delete_namespace("a")
    with store._connections.reading() as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name in ("namespaces", "kinds", "commits", "states", "entities", "fields")
        ]
        assert len(tables) == 6
        for table in tables:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,), table
    assert [hit.entity.content for hit in store.search("b", "needle")] == ["needle b"]


def test_every_file_is_open_to_its_owner_only_whoever_made_the_directory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir(mode=0o777)
    old_mask = os.umask(0)
    try:
        with SqliteStore(path, embedder="none") as store:
            store.create_namespace("n")
            store.commit("n", [Put(type="t", content="")])
            modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        monkeypatch.setattr(
            sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, "CREATE TABLE added (x)")
        )
        with SqliteStore(path, embedder="none") as store:
            store.list_namespaces()
        modes |= {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    finally:
        os.umask(old_mask)
    assert {"kaizen.db", "kaizen.db-wal", "kaizen.db-shm", "kaizen.db.lock"} < set(modes)
    assert any(name.endswith(".bak") for name in modes)
    assert set(modes.values()) == {0o600}


def test_a_link_that_leads_nowhere_is_refused_and_nothing_is_made(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    elsewhere = tmp_path / "elsewhere.db"
    path.symlink_to(elsewhere)
    with SqliteStore(path, embedder="none") as store:
        for call in (store.list_namespaces, store.check, lambda: store.create_namespace("n")):
            with pytest.raises(UnavailableError, match=r"kaizen\.db: it is a link to .*elsewhere\.db"):
                call()
    assert path.is_symlink()
    assert not elsewhere.exists()


def test_a_link_to_a_database_is_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "real.db"
    with SqliteStore(elsewhere, embedder="none") as store:
        store.create_namespace("n")
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    with SqliteStore(path, embedder="none") as store:
        store.commit("n", [Put(id="e", type="t", content="")])
    with SqliteStore(elsewhere, embedder="none") as store:
        assert store.get("n", "e").revision == 1


def test_an_emptied_file_is_refused_and_left_alone(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    store.close()
    path.write_bytes(b"")
    with SqliteStore(path, embedder="none") as emptied:
        for call in (emptied.list_namespaces, emptied.check, lambda: emptied.create_namespace("m")):
            with pytest.raises(CorruptDataError, match="it is empty"):
                call()
    assert path.read_bytes() == b""


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with (
        SqliteStore(path, embedder="none") as store,
        pytest.raises(CorruptDataError, match="another program"),
    ):
        store.create_namespace("n")
    assert path.read_bytes() == before


DISK_FULL_AT_FIRST = """
import resource, sys
from pathlib import Path
from kaizen.store import StoreSettings, UnavailableError, open_store
store = open_store(StoreSettings(data_dir=Path(sys.argv[1])))
unlimited = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), unlimited))
try:
    store.create_namespace("n")
except UnavailableError as error:
    print("refused:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
print(sorted(path.name for path in Path(sys.argv[1]).iterdir()), store.list_namespaces())
print(store.create_namespace("n").version)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are a POSIX feature")
@pytest.mark.parametrize("limit", [0, 10_000, 50_000])
def test_a_disk_that_is_full_while_the_file_is_made_is_said_and_leaves_no_file(
    tmp_path: Path, limit: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL_AT_FIRST, str(tmp_path / "data"), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    refused, left, version = done.stdout.splitlines()
    assert refused.startswith(f"refused: {tmp_path / 'data' / 'kaizen.db'}: "), refused
    assert "free some space" in refused
    assert (left, version) == ("['kaizen.db.lock'] []", "0")


def test_what_a_killed_process_left_of_a_new_file_is_not_taken_for_data(path: Path) -> None:
    path.parent.mkdir()
    for end in ("", "-journal", "-wal"):
        path.with_name(f"kaizen.db.new{end}").write_bytes(b"half")
    with SqliteStore(path, embedder="none") as store:
        store.create_namespace("n")
    assert sorted(each.name for each in path.parent.iterdir()) == ["kaizen.db", "kaizen.db.lock"]


def test_of_two_filters_the_one_that_selects_less_is_looked_up(store: SqliteStore) -> None:
    store.create_namespace("n")
    store.commit(
        "n", [Put(id=f"{n:04}", type="t", content="", metadata={"tip": 1, "trace": n}) for n in range(3_000)]
    )
    with store._connections.reading() as connection:
        steps: list[int] = []
        connection.set_progress_handler(lambda: steps.append(1), 100)
        selection = Selection.of(connection, 1, Filter.parse("t", {"tip": 1, "trace": 77}))
        assert [row[0] for row in selection.rows(connection, after=None, limit=10)] == ["0077"]
        assert selection.count(connection) == 1
        connection.set_progress_handler(None, 0)
    # Counting to 2,000 takes some 100; going through all that have the tip takes twice as much and more.
    assert len(steps) < 200


DAMAGED_ROWS = {
    "text that is not UTF-8": "UPDATE states SET content = CAST(x'ff' || zeroblob(5000) AS TEXT)",
    "metadata that is not JSON": "UPDATE states SET metadata = '{'",
    "no metadata": "UPDATE states SET metadata = NULL",
    "a time that is text": "UPDATE states SET updated_at = 'yesterday'",
    "a time beyond all years": "UPDATE states SET updated_at = 1 << 62",
}


@pytest.mark.parametrize("damage", DAMAGED_ROWS.values(), ids=DAMAGED_ROWS.keys())
def test_a_damaged_row_is_said_by_each_read_that_meets_it(
    store: SqliteStore, path: Path, damage: str
) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id="e", type="t", content="needle", metadata={"x": 1})])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    for read in (
        lambda: store.get("n", "e"),
        lambda: store.list("n"),
        lambda: list(store.iterate("n", where={"x": 1})),
        lambda: store.search("n", "needle"),
        lambda: store.commits("n"),
        lambda: store.commit("n", [Put(id="e", type="t", content="")]),
        # What `kaizen doctor` asks.
        store.check,
    ):
        with pytest.raises(CorruptDataError, match=r"kaizen\.db: .*restore the file from a backup") as caught:
            read()
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("UPDATE commits SET at = 1 << 62", lambda store: store.commits("n")),
        ("UPDATE namespaces SET created_at = 'now'", lambda store: store.list_namespaces()),
        ("DELETE FROM states WHERE version = 1", lambda store: store.commits("n")),
        ("UPDATE states SET metadata = '{' WHERE version = 1", lambda store: store.history("n", "e")),
    ],
)
def test_check_finds_what_a_read_refuses(
    store: SqliteStore, path: Path, damage: str, read: Callable[[SqliteStore], object]
) -> None:
    store.create_namespace("n")
    for content in ("one", "two"):
        store.commit("n", [Put(id="e", type="t", content=content)])
    store.check()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    for check in (read, SqliteStore.check):
        with pytest.raises(CorruptDataError, match="restore the file from a backup"):
            check(store)


def test_check_misses_the_state_of_an_entity(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id="e", type="t", content="one"), Put(id="f", type="t", content="two")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM states WHERE entity_id = 'f'")
    with pytest.raises(CorruptDataError, match="the state of entity 'f' is missing"):
        store.check()


def test_a_damaged_page_is_said_by_the_first_read_that_meets_it(store: SqliteStore, path: Path) -> None:
    store.create_namespace("n")
    store.commit("n", [Put(id=f"{n:04}", type="t", content="x" * 200) for n in range(400)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'states'").fetchone()
    store.close()
    with path.open("r+b") as file:
        # The cells of a page are found by offsets at its start; here the first one leads out of the page.
        file.seek((page - 1) * 4096 + 12)
        file.write(b"\xff\xff")
    for call in (lambda store: store.check(), lambda store: list(store.iterate("n"))):
        with SqliteStore(path, embedder="none") as damaged, pytest.raises(CorruptDataError):
            call(damaged)
