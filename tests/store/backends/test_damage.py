"""A journal that was cut, damaged or could not be written: nothing is lost, and nothing is guessed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kaizen.store import (
    ConflictError,
    CorruptDataError,
    Put,
    Store,
    StoreError,
    StoreSettings,
    UnavailableError,
    open_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def journal(data_dir: Path) -> Path:
    """A journal of three commits, each of entity `e`; lines 2, 3 and 4 of the file."""
    store = reopen(data_dir)
    store.create_namespace("n")
    for content in ("one", "two", "three"):
        store.commit("n", [Put(id="e", type="t", content=content), Put(type="t", content=content)])
    return data_dir / "namespaces" / "n.jsonl"


def reopen(data_dir: Path) -> Store:
    return open_store(StoreSettings(backend="filesystem", data_dir=data_dir))


def torn_file(journal: Path) -> Path:
    return journal.with_suffix(".torn")


@pytest.mark.parametrize("keep", [1, 2, 50, -2])
def test_a_torn_last_line_is_ignored_by_readers_and_moved_aside_by_the_next_writer(
    data_dir: Path, journal: Path, keep: int
) -> None:
    whole = journal.read_bytes()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    torn = whole[start:][:keep]
    journal.write_bytes(whole[:start] + torn)
    store = reopen(data_dir)
    assert store.get("n", "e").content == "two"
    assert journal.read_bytes() == whole[:start] + torn
    with pytest.raises(ConflictError):
        store.commit("n", [Put(type="t", content="")], expected=7)
    assert not torn_file(journal).exists()

    assert store.commit("n", [Put(id="e", type="t", content="four")]).version == 3
    assert torn_file(journal).read_bytes() == torn + b"\n"
    assert journal.read_bytes().startswith(whole[:start] + b'{"version":3,')
    for either in (store, reopen(data_dir)):
        assert either.get("n", "e").content == "four"
        assert [commit.version for commit in either.commits("n")] == [1, 2, 3]


def test_torn_lines_are_collected(data_dir: Path, journal: Path) -> None:
    for torn in (b'{"version":4,"id"', b"\0\0\0", b"\xff\xfe"):
        with journal.open("ab") as file:
            file.write(torn)
        reopen(data_dir).commit("n", [Put(type="t", content="")])
    assert torn_file(journal).read_bytes() == b'{"version":4,"id"\n\0\0\0\n\xff\xfe\n'
    assert reopen(data_dir).get_namespace("n").version == 6


def test_a_whole_last_line_that_lacks_only_its_newline_counts(data_dir: Path, journal: Path) -> None:
    stale = reopen(data_dir)
    assert stale.get("n", "e").content == "three"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-1])
    for store in (stale, reopen(data_dir)):
        assert store.get("n", "e").content == "three"
        assert store.get("n", "e").content == "three"
    assert stale.commit("n", [Put(id="e", type="t", content="four")]).version == 4
    assert journal.read_bytes().startswith(whole)
    for store in (stale, reopen(data_dir)):
        assert store.get("n", "e").content == "four"
        assert [commit.version for commit in store.commits("n")] == [1, 2, 3, 4]
    assert not torn_file(journal).exists()


def test_a_header_that_lacks_only_its_newline_counts(data_dir: Path) -> None:
    reopen(data_dir).create_namespace("n")
    path = data_dir / "namespaces" / "n.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    store = reopen(data_dir)
    assert store.get_namespace("n").version == 0
    assert store.commit("n", [Put(type="t", content="")]).version == 1
    assert reopen(data_dir).get_namespace("n").version == 1


def test_a_line_seen_while_it_was_being_written_is_read_whole_later(data_dir: Path, journal: Path) -> None:
    whole = journal.read_bytes()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    journal.write_bytes(whole[:start])
    store = reopen(data_dir)
    for end in (start + 10, start + 90, len(whole) - 2):
        journal.write_bytes(whole[:end])
        assert store.get("n", "e").content == "two"
    for end in (len(whole) - 1, len(whole)):
        journal.write_bytes(whole[:end])
        assert store.get("n", "e").content == "three"
    assert store.get_namespace("n").version == 3


def edited(line: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(line), **fields}).encode() + b"\n"


DAMAGE = {
    "no JSON": lambda line: b"}" + line,
    "empty": lambda _: b"\n",
    "zeroed": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "no UTF-8": lambda line: line.replace(b"two", b"\xff\xfe\xfd"),
    "joined to another": lambda line: line[:-1] + line,
    "no commit": lambda _: b'{"hello": 1}\n',
    "no object": lambda _: b"[]\n",
    "missing": lambda _: b"",
    "doubled": lambda line: line + line,
    "version of another": lambda line: edited(line, version=5),
    "no version": lambda line: edited(line, version="2"),
    "no time": lambda line: edited(line, at="yesterday"),
    "time without zone": lambda line: edited(line, at="2026-01-01T00:00:00"),
    "no changes": lambda line: edited(line, changes=[]),
    "change of no kind": lambda line: edited(line, changes=[{"move": "e"}]),
    "change of nothing": lambda line: edited(line, changes=[7]),
    "delete of what is not there": lambda line: edited(line, changes=[{"delete": "absent"}]),
    "wrong revision": lambda line: line.replace(b'"revision":2', b'"revision":3'),
    "NaN": lambda line: line.replace(b'"metadata":{}', b'"metadata":{"x":NaN}'),
    "endless nesting": lambda line: line.replace(b'"metadata":{}', b'"metadata":{"x":' + b"[" * 200_000),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_named_and_nothing_is_touched(
    data_dir: Path, journal: Path, damage: Callable[[bytes], bytes]
) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = [*lines[:2], damage(lines[2]), *lines[3:]]
    journal.write_bytes(b"".join(damaged))
    before = journal.read_bytes()
    store = reopen(data_dir)
    where = 4 if damaged[2] == lines[2] * 2 else 3
    for call in (
        lambda: store.count("n"),
        lambda: store.get_namespace("n"),
        lambda: store.list_namespaces(),
        lambda: store.commit("n", [Put(type="t", content="")]),
        lambda: store.check(),
    ):
        with pytest.raises(CorruptDataError, match=f"n.jsonl, line {where}: ") as caught:
            call()
        assert (caught.value.path, caught.value.line) == (str(journal), where)
    assert journal.read_bytes() == before
    assert not torn_file(journal).exists()


def test_a_last_line_that_parses_and_does_not_follow_is_damage_though_its_newline_is_missing(
    data_dir: Path, journal: Path
) -> None:
    with journal.open("ab") as file:
        file.write(b'{"hello": 1}')
    with pytest.raises(CorruptDataError, match="line 5"):
        reopen(data_dir).count("n")


def test_a_repaired_journal_is_read_on_without_opening_the_store_again(data_dir: Path, journal: Path) -> None:
    whole = journal.read_bytes()
    store = reopen(data_dir)
    journal.write_bytes(whole.replace(b'"three"', b'"three', 1))
    with pytest.raises(CorruptDataError):
        store.count("n")
    journal.write_bytes(whole)
    assert store.get("n", "e").content == "three"


@pytest.mark.parametrize("header", [b"", b"\n", b"text\n", b"{}\n", b'{"kaizen_journal":1,"names'])
def test_a_file_without_a_header_is_no_journal(data_dir: Path, journal: Path, header: bytes) -> None:
    journal.write_bytes(header)
    with pytest.raises(CorruptDataError, match="line 1"):
        reopen(data_dir).commit("n", [Put(type="t", content="")])
    with pytest.raises(CorruptDataError, match="line 1"):
        reopen(data_dir).create_namespace("n", exist_ok=True)
    assert journal.read_bytes() == header


def test_the_journal_of_another_namespace_is_not_taken_for_this_one(data_dir: Path, journal: Path) -> None:
    journal.with_name("copy.jsonl").write_bytes(journal.read_bytes())
    with pytest.raises(CorruptDataError, match="'n', not of 'copy'"):
        reopen(data_dir).count("copy")


def test_a_damaged_namespace_can_still_be_deleted(data_dir: Path, journal: Path) -> None:
    journal.write_bytes(b"damage\n")
    store = reopen(data_dir)
    store.delete_namespace("n")
    assert store.list_namespaces() == []


def test_a_journal_of_a_newer_format_asks_for_an_upgrade(data_dir: Path, journal: Path) -> None:
    newer = journal.read_bytes().replace(b'"kaizen_journal":1', b'"kaizen_journal":2')
    journal.write_bytes(newer)
    store = reopen(data_dir)
    for call in (lambda: store.count("n"), lambda: store.commit("n", [Put(type="t", content="")])):
        with pytest.raises(StoreError, match=r"format 2 .*: upgrade kaizen-store") as caught:
            call()
        assert not isinstance(caught.value, CorruptDataError)
    assert journal.read_bytes() == newer


def test_a_journal_with_other_line_ends_is_read(data_dir: Path, journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\r\n"))
    store = reopen(data_dir)
    store.commit("n", [Put(id="e", type="t", content="four")])
    assert [commit.version for commit in reopen(data_dir).commits("n")] == [1, 2, 3, 4]
    assert len(store.history("n", "e")) == 4


FULL_DISK = """
import resource, sys
from pathlib import Path
from kaizen.store import *
store = open_store(StoreSettings(backend="filesystem", data_dir=Path(sys.argv[1])))
store.count("n")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    store.commit("n", [Put(id="e", type="t", content="x" * 100_000)])
except UnavailableError as exc:
    print("refused:", exc)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.get("n", "e").content)
print(store.commit("n", [Put(id="e", type="t", content="after")]).version)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file sizes are a POSIX feature")
def test_a_write_cut_short_by_a_limit_of_the_system_leaves_no_half_commit(
    data_dir: Path, journal: Path
) -> None:
    before = journal.read_bytes()
    limit = str(len(before) + 20_000)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(data_dir), limit], capture_output=True, text=True, check=True
    )
    refused, content, version = done.stdout.splitlines()
    assert refused.startswith(f"refused: {journal}: File too large; ")
    assert (content, version) == ("three", "4")
    assert journal.read_bytes().startswith(before + b'{"version":4,')
    assert not torn_file(journal).exists()
    assert reopen(data_dir).get("n", "e").content == "after"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failed_write_is_undone_and_said(
    data_dir: Path, journal: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    store, before = reopen(data_dir), journal.read_bytes()
    failing_once(monkeypatch, call, code)
    with pytest.raises(UnavailableError, match=os.strerror(code)) as caught:
        store.commit("n", [Put(id="e", type="t", content="lost")])
    assert str(journal) in str(caught.value)
    assert journal.read_bytes() == before
    assert store.get("n", "e").content == "three"
    assert store.commit("n", [Put(id="e", type="t", content="four")]).version == 4
    assert reopen(data_dir).get("n", "e").content == "four"


def test_a_reader_that_saw_a_commit_which_then_failed_forgets_it(
    data_dir: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader, seen = reopen(data_dir), reopen(data_dir), []
    real = os.fsync

    def fail_after_reading(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        seen.append(reader.get("n", "e").content)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail_after_reading)
    with pytest.raises(UnavailableError):
        writer.commit("n", [Put(id="e", type="t", content="lost")])
    assert seen == ["lost"]
    assert reader.get("n", "e").content == "three"
    writer.commit("n", [Put(id="e", type="t", content="kept")])
    assert reader.get("n", "e").content == "kept"
    assert reader.get_namespace("n").version == 4


def test_an_interrupted_write_is_undone(
    data_dir: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, before = reopen(data_dir), journal.read_bytes()
    real = os.fsync

    def interrupt(_: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.commit("n", [Put(id="e", type="t", content="lost")])
    assert journal.read_bytes() == before
    assert store.commit("n", [Put(id="e", type="t", content="four")]).version == 4


def test_a_namespace_that_could_not_be_created_is_not_there(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reopen(data_dir)
    store.create_namespace("other")
    failing_once(monkeypatch, "write", errno.ENOSPC)
    with pytest.raises(UnavailableError, match="free some space"):
        store.create_namespace("n")
    assert [namespace.id for namespace in store.list_namespaces()] == ["other"]
    assert store.create_namespace("n").version == 0


def failing_once(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Let the next `os.write` write half of what it is given, or the next `os.fsync` nothing, and fail."""
    real = getattr(os, call)
    real_write = os.write

    def fail(descriptor: int, data: bytes = b"") -> int:
        monkeypatch.setattr(os, call, real)
        real_write(descriptor, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
