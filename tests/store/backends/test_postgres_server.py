"""The postgres backend beside its server: starting, migrating, losing the connection, and what it tells."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from kaizen.store import (
    Delete,
    InvalidInputError,
    NotFoundError,
    Put,
    StoreError,
    StoreSettings,
    UnavailableError,
    open_store,
)
from kaizen.store.backends.postgres import schema as postgres_schema
from kaizen.store.backends.postgres.reading import Selection
from kaizen.store.backends.postgres.rows import decode_text, encode_text
from kaizen.store.backends.postgres.store import PostgresStore
from kaizen.store.filtering import Filter
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from kaizen.store import StoreError, StoreSettings, open_store
import kaizen.store.backends.postgres
try:
    open_store(StoreSettings(backend="postgres"))
except StoreError as exc:
    print(exc)
"""


@pytest.fixture
def store(dsn: str) -> Iterator[PostgresStore]:
    with PostgresStore(dsn, embedder="none") as store:
        store.create_namespace("n")
        yield store


@pytest.fixture
def no_tables(dsn: str, admin: psycopg.Connection) -> str:
    admin.execute("DROP SCHEMA IF EXISTS kaizen CASCADE")
    return dsn


def test_without_psycopg_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PSYCOPG], capture_output=True, text=True, check=True)
    assert "pip install 'psycopg[binary]'" in done.stdout


def test_reading_an_empty_database_makes_nothing(no_tables: str, admin: psycopg.Connection) -> None:
    with PostgresStore(no_tables, embedder="none") as store:
        assert store.list_namespaces() == []
        calls: list[Callable[[], object]] = [
            lambda: store.count("n"),
            lambda: store.search("n", "x"),
            lambda: store.commit("n", [Put(type="t", content="")]),
            lambda: store.delete_namespace("n"),
        ]
        for call in calls:
            with pytest.raises(NotFoundError):
                call()
    assert admin.execute("SELECT to_regnamespace('kaizen')").fetchone() == (None,)


def test_hosts_that_start_at_once_migrate_once(no_tables: str, admin: psycopg.Connection) -> None:
    stores = [PostgresStore(no_tables, embedder="none") for _ in range(6)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: store.create_namespace("n", exist_ok=True), stores))
    for store in stores:
        store.close()
    assert admin.execute("SELECT version FROM kaizen.migrations").fetchall() == [(1,), (2,)]
    assert admin.execute("SELECT id FROM kaizen.namespaces").fetchall() == [("n",)]


def test_words_that_an_older_version_indexed_are_found_like_new_ones(
    no_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older, PostgresStore(no_tables, embedder="none") as store:
        older.setattr(postgres_schema, "MIGRATIONS", postgres_schema.MIGRATIONS[:1])
        older.setattr("kaizen.store.backends.postgres.writing.fold_text", str.lower)
        for namespace_id in ("n", "m"):
            store.create_namespace(namespace_id)
            store.commit(namespace_id, [Put(id=str(n), type="t", content=f"Müller {n}") for n in range(25)])
        store.commit("n", [Put(id="0", type="t", content="changed"), Delete(id="1")])
        assert store.search("n", "muller") == []
    monkeypatch.setattr(postgres_schema, "_ROWS_AT_ONCE", 10)
    with PostgresStore(no_tables, embedder="none") as store:
        found = {hit.entity.id for hit in store.search("n", "muller", limit=50)}
        assert found == {str(n) for n in range(2, 25)}
        assert len(store.search("m", "muller", limit=50)) == 25
        assert [hit.entity.id for hit in store.search("n", "changed")] == ["0"]


def test_an_older_schema_is_migrated_and_a_newer_one_refused(
    no_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = postgres_schema.MIGRATIONS
    with PostgresStore(no_tables, embedder="none") as store:
        store.create_namespace("n")
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", (*ours, "CREATE TABLE kaizen.more (id integer)"))
    with PostgresStore(no_tables, embedder="none") as store:
        assert store.count("n") == 0
    with psycopg.connect(no_tables) as connection:
        assert connection.execute("SELECT count(*) FROM kaizen.more").fetchone() == (0,)
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", ours)
    with PostgresStore(no_tables, embedder="none") as store:
        for call in (store.list_namespaces, store.check, lambda: store.create_namespace("m")):
            with pytest.raises(StoreError, match=r"schema 3, this one knows 2.*: upgrade kaizen-store"):
                call()
    with psycopg.connect(no_tables) as connection:
        connection.execute("DROP SCHEMA kaizen CASCADE")


def test_a_migration_that_fails_leaves_nothing(no_tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        postgres_schema, "MIGRATIONS", ("CREATE TABLE kaizen.some (id integer);\nNO SUCH STATEMENT",)
    )
    with PostgresStore(no_tables, embedder="none") as store:
        with pytest.raises(StoreError, match="NO"):
            store.create_namespace("n")
        assert store.list_namespaces() == []


def test_a_restarted_server_is_found_again() -> None:
    server = PostgresServer().start()
    try:
        with PostgresStore(server.url, embedder="none") as store:
            store.create_namespace("n")
            store.commit("n", [Put(id="e", type="t", content="kept")])
            server.pause()
            with pytest.raises(UnavailableError, match="failed"):
                store.get("n", "e")
            server.resume()
            assert store.get("n", "e").content == "kept"
            server.pause()
            server.resume()
            assert store.commit("n", [Put(id="e", type="t", content="more")]).version == 2
    finally:
        server.stop()


def kill_sessions(admin: psycopg.Connection) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_a_connection_lost_amid_a_call_is_replaced_once(
    store: PostgresStore, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = []

    def lose_first(connection: psycopg.Connection, *args: object, **options: object) -> object:
        if not lost:
            lost.append(connection)
            kill_sessions(admin)
        return real(connection, *args, **options)

    for name, call in (
        ("current", lambda: store.get_many("n", ["e"])),
        ("write_commits", lambda: store.commit("n", [Put(id="e", type="t", content="x")])),
    ):
        lost.clear()
        real = getattr(sys.modules[PostgresStore.__module__], name)
        with monkeypatch.context() as losing:
            losing.setattr(f"{PostgresStore.__module__}.{name}", lose_first)
            call()
        assert lost
    assert store.get_namespace("n").version == 1


def test_a_commit_whose_outcome_is_unknown_says_so(
    store: PostgresStore, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = psycopg.Connection.execute

    def lose_at_commit(self: psycopg.Connection, query: object, *args: object, **options: object) -> object:
        if query == "COMMIT":
            kill_sessions(admin)
        return execute(self, query, *args, **options)  # type: ignore[arg-type, call-overload]

    with monkeypatch.context() as losing:
        losing.setattr(psycopg.Connection, "execute", lose_at_commit)
        with pytest.raises(UnavailableError, match="may have happened or not"):
            store.commit("n", [Put(id="e", type="t", content="x")])
    assert store.get_namespace("n").version == 0
    assert store.commit("n", [Put(id="e", type="t", content="x")]).version == 1


def test_a_statement_that_takes_too_long_is_ended(dsn: str, store: PostgresStore) -> None:
    with (
        psycopg.connect(dsn) as holding,
        PostgresStore(f"{dsn}&options=-cstatement_timeout%3D100", embedder="none") as impatient,
    ):
        holding.execute("SELECT FROM kaizen.namespaces FOR UPDATE")
        with pytest.raises(UnavailableError, match="statement_timeout"):
            impatient.commit("n", [Put(type="t", content="")])
    assert store.get_namespace("n").version == 0


def test_a_connection_is_as_our_promises_need_it(store: PostgresStore) -> None:
    settings = ("synchronous_commit", "statement_timeout", "timezone", "client_encoding", "application_name")
    shown = store._connections.read(
        lambda connection: [connection.execute(f"SHOW {name}").fetchone() for name in settings]
    )
    assert shown == [("on",), ("1min",), ("UTC",), ("UTF8",), ("kaizen",)]


def count_in_child(store: PostgresStore, results: multiprocessing.SimpleQueue[int]) -> None:
    results.put(store.commit("n", [Put(type="t", content="")]).version)
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_survives_a_fork(store: PostgresStore) -> None:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    store.count("n")
    child = context.Process(target=count_in_child, args=(store, results))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert results.get() == 1
    assert store.commit("n", [Put(type="t", content="")]).version == 2
    assert len(store._connections._idle) == 1, "the connection is still the first one"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=ann&password=s3cret",
        "host=127.0.0.1 port=1 dbname=db user=ann password=s3cret",
    ],
)
def test_the_password_is_told_nobody(dsn: str) -> None:
    settings = StoreSettings(backend="postgres", pg_dsn=dsn, embedder="none")
    with open_store(settings) as store:
        assert store.location == "postgresql://ann@127.0.0.1:1/db"
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as caught:
            store.list_namespaces()
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {settings!r}"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:s3/cret@host/db",
        "postgresql://ann:s3@cret@host/db",
        "postgresql://ann:s3@cr/et@host/db",
        "postgresql://ann:s3cret@host:port/db",
        "s3cret",
        "s3cret=1",
        "password=s3cret port",
    ],
)
def test_what_is_no_connection_string_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(InvalidInputError, match="KAIZEN_PG_DSN") as caught:
        PostgresStore(dsn, embedder="none")
    said = f"{caught.value!r} {caught.value.__cause__!r}"
    assert not any(part in said for part in ("cret", "et@"))


def test_libpqs_own_variables_say_where(
    dsn: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items():
        monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
    with open_store(StoreSettings(backend="postgres", embedder="none")) as other:
        assert other.list_namespaces() == store.list_namespaces()
        assert other.location == store.location


@pytest.mark.parametrize(
    "text", ["", "plain \\0 text", "\0", "\\\0\\", "\\\\0\0\\0", "\x01", "\x01\0", "a\x01"]
)
def test_text_with_nul_is_escaped_and_back(text: str) -> None:
    encoded = encode_text(text)
    assert "\0" not in encoded
    assert decode_text(encoded) == text
    assert encode_text("plain \\0 text") == "plain \\0 text"


def test_lists_use_an_index_in_order_of_id(store: PostgresStore, admin: psycopg.Connection) -> None:
    for start in range(0, 10_000, 2_000):
        store.commit(
            "n",
            [
                Put(
                    id=f"{number:05}",
                    type="odd" if number % 2 else "even",
                    content="tip",
                    metadata={"category": f"c{number % 10}", "status": "active"},
                )
                for number in range(start, start + 2_000)
            ],
        )
    admin.execute("ANALYZE")
    for type_, where in (
        (None, {}),
        ("odd", {}),
        (None, {"category": "c3"}),
        ("odd", {"category": "c3", "status": "active"}),
        (None, {"category": "c3", "retired": None}),
    ):
        selection = Selection.of(store._ns("n"), Filter.parse(type_, where))
        for after in (None, "05000"):
            plan = explained(store, selection, after)
            assert "Index" in plan
            assert "Seq Scan on" not in plan.replace("Seq Scan on namespaces", ""), plan
            assert "Sort" not in plan, plan
    assert len(store.list("n", type="odd", where={"category": "c3"}, after="05000").entities) == 100


def explained(store: PostgresStore, selection: Selection, after: str | None) -> str:
    """The plan, as a connection of the store makes it."""

    class Explaining:
        def __init__(self, connection: psycopg.Connection) -> None:
            self.connection = connection

        def execute(self, statement: str, values: object) -> psycopg.Cursor:
            return self.connection.execute(f"EXPLAIN {statement}", values)  # type: ignore[arg-type]

    rows = store._connections.read(
        lambda connection: selection.rows(Explaining(connection), after=after, limit=101)  # type: ignore[arg-type]
    )
    return "\n".join(line for (line,) in rows)


def test_others_wait_while_one_has_the_namespace_to_itself(dsn: str) -> None:
    def put(entity_id: str) -> Put:
        return Put(id=entity_id, type="note", content="", metadata={})

    with PostgresStore(dsn, embedder="none") as first, PostgresStore(dsn, embedder="none") as second:
        first.create_namespace("n", exist_ok=True)
        with ThreadPoolExecutor(1) as thread:
            with first.exclusive("n"):
                late = thread.submit(second.commit, "n", [put("late")])
                first.commit("n", [put("first")])
                with first.exclusive("n"):  # it has it already
                    first.commit("n", [put("second")])
                assert not late.done()
            late.result(timeout=30)
        ids = [change.entity_id for commit in first.commits("n") for change in commit.changes]
        assert ids == ["first", "second", "late"]


def test_an_error_gives_the_namespace_back(dsn: str) -> None:
    with PostgresStore(dsn, embedder="none") as store:
        store.create_namespace("n")
        with pytest.raises(ZeroDivisionError), store.exclusive("n"):
            raise ZeroDivisionError
        with PostgresStore(dsn, embedder="none") as other, other.exclusive("n"):
            other.commit("n", [Put(id="a", type="note", content="", metadata={})])
