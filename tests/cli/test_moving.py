"""Export, import and copy: nothing is lost on the way, nothing half done is taken for whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaizen.store import Delete, Put, Store, StoreSettings, namespace_digest, open_store
from tests.support.command import kaizen, kaizen_process

N = "kaizen"
ODD = "NUL \0, C1 \x9b, line \u2028 separator, \u202e, 🙂"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Two tips, one of them in quarantine, and one that was deleted."""
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    with open_store(StoreSettings(data_dir=tmp_path / "data")) as store:
        store.create_namespace(N)
        store.commit(
            N, [Put(id="a", type="guideline", content=ODD, metadata={"status": "active"})], run_id="r"
        )
        store.commit(N, [Put(id="b", type="guideline", content="b", metadata={"status": "quarantined"})])
        store.commit(N, [Put(id="c", type="note", content="c")], actor="ann", reason="why")
        store.commit(N, [Delete(id="c")])
        yield store


def exported(*options: str) -> str:
    assert kaizen("entities", "export", N, "--output", "out", *options).exit_code == 0
    return "out"


# Export and import


def test_what_is_exported_is_imported_with_all_its_history(store: Store) -> None:
    ended = kaizen("entities", "import", "other", exported(), "--json")
    assert (ended.json["commits"], ended.json["entities"]) == (4, 2)
    assert ended.json["digest"] == namespace_digest(store, N) == namespace_digest(store, "other")
    assert store.get("other", "a").content == ODD
    again = kaizen("entities", "import", "other", "out", "--json").json
    assert (again["commits"], again["digest"]) == (0, ended.json["digest"])


def test_standard_output_and_standard_input_do_as_well_as_files(store: Store) -> None:
    text = kaizen("entities", "export", N).stdout
    assert kaizen("entities", "import", "other", "-", stdin=text).exit_code == 0
    assert namespace_digest(store, "other") == namespace_digest(store, N)


def test_an_export_is_utf_8_whatever_the_terminal_is(store: Store) -> None:
    ended = kaizen_process("entities", "export", N, environ={"PYTHONIOENCODING": "ascii"})
    assert "🙂" in ended.stdout


def test_an_import_goes_on_where_it_ended(store: Store) -> None:
    lines = Path(exported()).read_bytes().splitlines(keepends=True)
    Path("half").write_bytes(b"".join(lines[:3]))
    assert kaizen("entities", "import", "other", "half", "--json").json["commits"] == 2
    assert kaizen("entities", "import", "other", "out", "--json").json["commits"] == 2
    assert namespace_digest(store, "other") == namespace_digest(store, N)


def test_a_namespace_in_use_is_not_overwritten_but_may_be_merged_into(store: Store) -> None:
    exported()
    store.create_namespace("used")
    store.commit(
        "used", [Put(id="a", type="guideline", content="mine"), Put(id="d", type="note", content="d")]
    )
    refused = kaizen("entities", "import", "used", "out").error
    assert "--merge" in refused
    assert store.get_namespace("used").version == 1
    merged = kaizen("entities", "import", "used", "out", "--merge", "--json").json
    assert (merged["commits"], merged["merged"], merged["entities"]) == (1, 2, 3)
    assert store.history("used", "a")[-1].actor == "kaizen entities import"
    assert (store.get("used", "a").content, store.get("used", "d").content) == (ODD, "d")
    assert kaizen("entities", "import", "used", "out", "--merge", "--json").json["commits"] == 0


def test_a_damaged_export_is_named_by_line_and_can_be_mended(store: Store) -> None:
    lines = Path(exported()).read_bytes().splitlines(keepends=True)
    Path("bad").write_bytes(b"".join([*lines[:2], b"not JSON\n", *lines[3:]]))
    assert "bad, line 3" in kaizen("entities", "import", "other", "bad").error
    assert "bad, line 3" in kaizen("entities", "import", N, "bad", "--merge").error
    assert store.get_namespace(N).version == 4


@pytest.mark.parametrize("name", ["tips.md", "tips.txt"])
def test_markdown_is_not_imported(name: str) -> None:
    assert kaizen("entities", "export", N, "--format", "markdown", "--output", name).exit_code == 0
    assert "is Markdown" in kaizen("entities", "import", "other", name).error
    assert "other" not in kaizen("namespaces", "list").stdout


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]\n"])
def test_what_is_no_export_is_refused(content: bytes) -> None:
    Path("file").write_bytes(content)
    assert "file, line 1" in kaizen("entities", "import", "other", "file").error
    assert "other" not in kaizen("namespaces", "list").stdout


def test_markdown_holds_the_active_tips_and_the_others_are_counted() -> None:
    ended = kaizen("entities", "export", N, "--format", "markdown")
    assert "## Other" in ended.stdout
    assert "🙂" in ended.stdout
    assert "- b" not in ended.stdout
    assert "1 tip; left out because they are not active: 1 quarantined" in ended.stderr
    none = kaizen("entities", "export", N, "--format", "markdown", "--where", "category=recovery")
    assert none.stderr == "There are no active tips here.\n"


@pytest.mark.parametrize("option", ["--type=guideline", "--where=category=recovery"])
def test_json_lines_are_the_whole_namespace(option: str) -> None:
    ended = kaizen("entities", "export", N, option)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "--format markdown" in ended.error


def test_a_file_is_written_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out").write_text("kept")

    def half(*_: object) -> Iterator[bytes]:
        yield b"half\n"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("kaizen.store.export_lines", half)
        assert "cannot write out: No space left" in kaizen("entities", "export", N, "--output", "out").error
    assert (Path("out").read_text(), sorted(os.listdir())) == ("kept", ["data", "out"])
    assert kaizen("entities", "export", N, "--output", "out").exit_code == 0
    assert Path("out").read_text().startswith('{"kaizen_journal"')


@pytest.mark.parametrize("place", [".", "none/file"])
def test_a_file_that_cannot_be_is_named(place: str) -> None:
    assert "cannot write" in kaizen("entities", "export", N, "--output", place).error
    assert "cannot read" in kaizen("entities", "import", "other", place).error


def test_an_error_of_the_store_is_none_of_the_file() -> None:
    for name in ("nowhere", "../x"):
        said = kaizen("entities", "export", name, "--output", "out").error
        assert "cannot write" not in said
        assert name in said
    assert not Path("out").exists()


def test_a_link_stays_one_and_a_device_is_not_replaced() -> None:
    Path("link").symlink_to("target")
    assert kaizen("entities", "export", N, "--output", "link").exit_code == 0
    assert (Path("link").is_symlink(), Path("target").is_file()) == (True, True)
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert kaizen("entities", "export", N, "--output", "pipe").exit_code == 0
    assert os.read(reader, 100).startswith(b'{"kaizen_journal"')
    os.close(reader)
    assert Path("pipe").is_fifo()


def test_long_work_says_how_far_it_is_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaizen.cli.ticker.EVERY_S", 0.0)
    exported()
    assert "commits exported" in kaizen("entities", "export", N).stderr
    assert "4 commits imported" in kaizen("entities", "import", "other", "out").stderr
    assert kaizen("entities", "import", "third", "out", "--json").stderr == ""
    assert (
        "kaizen: 4 of 4 commits copied"
        in kaizen("store", "copy", "--from", "sqlite", "--to", "filesystem").stderr
    )


# Copy


def test_all_namespaces_are_copied_and_what_is_new_later(store: Store, tmp_path: Path) -> None:
    store.create_namespace("empty")
    words = ("store", "copy", "--from", "sqlite", "--to", f"filesystem:{tmp_path}/copy")
    lines = kaizen(*words).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["NAMESPACE", "COMMITS", "COPIED", "ENTITIES", "DIGEST"],
        ["empty", "0", "0", namespace_digest(store, "empty")],
        ["kaizen", "4", "2", namespace_digest(store, N)],
    ]
    store.commit(N, [Put(type="note", content="new")])
    (again,) = kaizen(*words, "--namespace", N, "--json").json["namespaces"]
    assert (again["commits"], again["version"], again["digest"]) == (1, 5, namespace_digest(store, N))


def test_a_copy_back_brings_the_same(store: Store, tmp_path: Path) -> None:
    there, back = f"filesystem:{tmp_path}/there", f"sqlite:{tmp_path}/back"
    assert kaizen("store", "copy", "--from", "sqlite", "--to", there).exit_code == 0
    assert kaizen("store", "copy", "--from", there, "--to", back).exit_code == 0
    text = kaizen("entities", "export", N, "--backend", back).stdout
    assert text == kaizen("entities", "export", N).stdout


def test_a_store_is_not_copied_onto_itself(tmp_path: Path) -> None:
    Path("link").symlink_to(tmp_path / "data")
    for target in ("sqlite", f"sqlite:{tmp_path}/data", f"sqlite:{tmp_path}/link", "SQLite:./data/"):
        ended = kaizen("store", "copy", "--from", f"sqlite:{tmp_path}/data", "--to", target)
        assert ended.exit_code == 2
        assert "the same store" in ended.error


def test_a_target_with_commits_of_its_own_is_left_alone(store: Store, tmp_path: Path) -> None:
    other = f"sqlite:{tmp_path}/other"
    assert kaizen("namespaces", "create", N, "--backend", other).exit_code == 0
    assert "is not a copy" in kaizen("store", "copy", "--from", "sqlite", "--to", other).error


def test_a_source_without_namespaces_is_an_error_and_makes_nothing(tmp_path: Path) -> None:
    ended = kaizen("store", "copy", "--from", f"sqlite:{tmp_path}/typo", "--to", f"filesystem:{tmp_path}/new")
    assert f"no namespaces in {tmp_path}/typo" in ended.error
    assert not (tmp_path / "typo").exists()
    assert not (tmp_path / "new").exists()
