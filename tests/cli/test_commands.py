"""Every command: what it prints for people and for programs, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaizen.store import Page, Put, StoreSettings, UnavailableError, open_store
from kaizen.store.backends.sqlite.store import SqliteStore
from scripts.reference import JSON_KEYS, commands
from tests.support.command import OLDER_SPELLING, Ended, kaizen, kaizen_process

COMMANDS = dict(commands())
HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b31m \u202eright to left\r\nnext"
HARMFUL = "\x1b\x07\x9b\u202e\r"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    # searching by meaning is tested in test_searching.py
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    return tmp_path / "data"


@pytest.fixture
def namespace() -> str:
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    return "kaizen"


def add_tip(content: str, *options: str) -> dict[str, Any]:
    ended = kaizen("entities", "add", "kaizen", "--content", content, "--json", *options)
    assert ended.exit_code == 0, ended
    added: dict[str, Any] = ended.json
    return added


def paths(value: Any, prefix: str = "") -> set[str]:
    """The keys of a JSON document, written as docs/reference/cli.md writes them."""
    if isinstance(value, list):
        return set().union(*(paths(item, f"{prefix}[]") for item in value))
    if isinstance(value, dict) and value:
        dot = f"{prefix}." if prefix else ""
        return set().union(*(paths(item, dot + key) for key, item in value.items()))
    return {prefix}


def assert_documented(command: str, value: Any) -> None:
    documented = JSON_KEYS[command]
    unknown = [
        path
        for path in paths(value)
        if path not in documented and not any(path.startswith((f"{key}.", f"{key}[]")) for key in documented)
    ]
    assert not unknown
    top_level = {key.partition(".")[0].removesuffix("[]") for key in documented}
    assert top_level == value.keys()


# Help and versions


@pytest.mark.parametrize("words", ["", "sync", "entities", "namespaces", *COMMANDS])
def test_every_command_explains_itself(words: str) -> None:
    ended = kaizen(*words.split(), "--help")
    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"Usage: kaizen {words}".rstrip())
    assert ended.stderr == ""


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_and_argument_has_help(words: str) -> None:
    command = COMMANDS[words]
    assert command.help.strip()
    assert not [p.name for p in command.params if not getattr(p, "help", None)]


def test_without_a_command_it_shows_what_there_is() -> None:
    ended = kaizen()
    assert ended.exit_code == 2
    assert "sync" in ended.stderr
    assert "kaizen demo" in ended.stderr


def test_version_names_the_packages_and_the_older_spelling_says_the_same() -> None:
    version = kaizen_process("--version")
    assert version.exit_code == 0
    assert version.stdout.startswith("kaizen 0.")
    assert "kaizen-sync" in version.stdout
    assert kaizen_process("--version", program=OLDER_SPELLING).stdout == version.stdout


def test_the_installed_script_runs_the_app() -> None:
    script = Path(sys.executable).parent / "kaizen"
    assert kaizen_process("--version", program=(str(script),)).stdout == kaizen("--version").stdout


def test_the_older_spelling_runs_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = kaizen_process(
        "sync", "phoenix", "--project", "x", "--url", "http://127.0.0.1:9", program=OLDER_SPELLING
    )
    assert "cannot reach Phoenix at http://127.0.0.1:9" in ended.error


# Namespaces


def test_namespaces_are_created_listed_described_and_deleted() -> None:
    assert kaizen("namespaces", "create", "team").stdout == "Created namespace 'team'.\n"
    assert kaizen("namespaces", "list").stdout.splitlines()[1].startswith("team ")
    assert "0" in kaizen("namespaces", "info", "team").stdout
    assert kaizen("namespaces", "delete", "team", "--yes").stdout.startswith("Deleted namespace 'team'")
    assert kaizen("namespaces", "list").stdout == ""


def test_deleting_a_namespace_asks_first_and_no_answer_is_no(namespace: str) -> None:
    for answer in ("n\n", ""):
        ended = kaizen("namespaces", "delete", namespace, stdin=answer)
        assert ended.exit_code == 1
        assert "for good?" in ended.stderr
    assert kaizen("namespaces", "info", namespace).exit_code == 0
    assert kaizen("namespaces", "delete", namespace, stdin="y\n").exit_code == 0


def test_info_counts_entities_by_type_tips_by_status_and_traces_by_state(
    namespace: str, data_dir: Path
) -> None:
    add_tip("one")
    add_tip("two", "--metadata", "status=quarantined")
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        store.commit(namespace, [Put(type="trajectory", content="", metadata={"state": "failed"})])

        def read_one_by_one(*_: object, **__: object) -> None:
            pytest.fail("entities are counted, not read")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(SqliteStore, "iterate", read_one_by_one)
            value = kaizen("namespaces", "info", namespace, "--json").json
            assert value["traces"] == {"failed": 1}
        # what Kaizen does not write itself is counted too
        others = [
            Put(type="note", content="x"),
            Put(type="guideline", content="x", metadata={"status": "odd"}),
        ]
        store.commit(namespace, [*others, Put(type="guideline", content="x")])
    value = kaizen("namespaces", "info", namespace, "--json").json
    assert value["entities"] == {"guideline": 4, "note": 1, "trajectory": 1}
    assert value["tips"] == {"active": 2, "odd": 1, "quarantined": 1}
    assert value["traces"] == {"failed": 1}
    assert "2 active, 1 odd, 1 quarantined" in kaizen("namespaces", "info", namespace).stdout


def test_a_namespace_that_is_not_there_is_named_with_how_to_find_or_make_one() -> None:
    error = kaizen("entities", "list", "kaizen").error
    assert error.startswith("Error: namespace 'kaizen' does not exist")
    assert "`kaizen namespaces list`" in error
    assert "`kaizen sync phoenix`" in error


def test_verbose_says_more_on_stderr_only(namespace: str) -> None:
    ended = kaizen_process("-vv", "entities", "list", namespace, "--json")
    assert ended.exit_code == 0
    assert ended.json["entities"] == []


def test_a_namespace_that_exists_is_not_created_again(namespace: str) -> None:
    assert "kaizen" in kaizen("namespaces", "create", namespace).error


# Entities


def test_a_tip_is_added_listed_shown_and_deleted(namespace: str) -> None:
    tip = add_tip("Ask before deleting.", "--category", "recovery", "--trigger", "Before a delete.")
    listed = kaizen("entities", "list", namespace, "--type", "guideline").stdout.splitlines()
    assert listed[0].split() == ["ID", "CATEGORY", "SUPPORT", "STATUS", "TIP"]
    assert listed[1].split(maxsplit=4) == [tip["id"], "recovery", "0", "active", "Ask before deleting."]
    shown = kaizen("entities", "show", namespace, tip["id"]).stdout
    assert shown.startswith("Ask before deleting.\n")
    assert "Before a delete." in shown
    assert "manual" in shown
    assert kaizen("entities", "delete", namespace, tip["id"]).stdout == "Deleted 1 entity.\n"
    error = kaizen("entities", "show", namespace, tip["id"]).error
    assert tip["id"] in error
    assert "`kaizen entities list kaizen`" in error


def test_all_entities_are_deleted_or_none(namespace: str) -> None:
    one, two = add_tip("one")["id"], add_tip("two")["id"]
    assert "missing" in kaizen("entities", "delete", namespace, one, "missing").error
    assert kaizen("entities", "list", namespace, "--json").json["entities"][0]["id"] == one
    assert kaizen("entities", "delete", namespace, one, two, one, "--json").json["deleted"] == [one, two]


def test_the_content_may_come_from_standard_input(namespace: str) -> None:
    ended = kaizen("entities", "add", namespace, "--content", "-", "--json", stdin="From a pipe.\n")
    assert ended.json["content"] == "From a pipe."


def test_an_empty_tip_or_an_unknown_category_is_refused(namespace: str) -> None:
    assert "the content is empty" in kaizen("entities", "add", namespace, "--content", " ").error
    ended = kaizen("entities", "add", namespace, "--content", "x", "--category", "wisdom")
    assert "strategy, recovery, optimization" in ended.error
    assert ended.exit_code == 2


def test_paging_shows_every_entity_once_and_says_how_to_go_on(namespace: str) -> None:
    added = [add_tip(f"tip {number}")["id"] for number in range(5)]
    seen: list[str] = []
    after: list[str] = []
    while True:
        page = kaizen("entities", "list", namespace, "--limit", "2", "--json", *after).json
        seen += [entity["id"] for entity in page["entities"]]
        if page["cursor"] is None:
            break
        after = ["--after", page["cursor"]]
    assert seen == added
    first = kaizen("entities", "list", namespace, "--limit", "2")
    assert f"2 of 5; for more: --limit N, --all, or --after '{added[1]}'" in first.stderr


@pytest.mark.parametrize(
    ("where", "found"),
    [("category=recovery", "b"), ("metadata.category=recovery", "b"), ("number=3", "a"), ("flag=true", "a")],
)
def test_entities_are_listed_by_their_metadata(namespace: str, where: str, found: str) -> None:
    add_tip("a", "--metadata", "number=3", "--metadata", "flag=true")
    add_tip("b", "--category", "recovery")
    listed = kaizen("entities", "list", namespace, "--where", where, "--json").json
    assert [entity["content"] for entity in listed["entities"]] == [found]


def test_all_shows_every_entity_however_many_pages_that_takes(
    namespace: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.store.selecting._PAGE", 2)
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        contents = ["x" * number for number in range(1, 6)]
        store.commit(namespace, [Put(id=text, type="note", content=text) for text in contents])
    listed = kaizen("entities", "list", namespace, "--all", "--json").json
    assert ([each["content"] for each in listed["entities"]], listed["cursor"]) == (contents, None)
    paged = kaizen("entities", "list", namespace, "--json").json
    assert paged == listed
    table = kaizen("entities", "list", namespace, "--all")
    assert [line.split()[-1] for line in table.stdout.splitlines()] == ["CONTENT", *contents]
    assert table.stderr == ""
    assert "--limit" in kaizen("entities", "list", namespace, "--all", "--limit", "3").error
    nothing = kaizen("entities", "list", namespace, "--all", "--json", "--type", "other").json
    assert nothing == {"namespace": namespace, "entities": [], "cursor": None}


def test_a_list_that_fails_on_the_way_is_still_one_json_document(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.store.selecting._PAGE", 2)
    added = [add_tip(f"tip {number}")["id"] for number in range(5)]
    read = SqliteStore.list

    def fail_later(store: SqliteStore, *arguments: Any, after: str | None, **options: Any) -> Page:
        if after is not None:
            raise UnavailableError("the disk is gone")
        return read(store, *arguments, after=after, **options)

    monkeypatch.setattr(SqliteStore, "list", fail_later)
    ended = kaizen("entities", "list", namespace, "--all", "--json")
    assert ended.error == "Error: the disk is gone"
    assert ended.json["error"] == {"type": "UnavailableError", "message": "the disk is gone"}
    assert [each["id"] for each in ended.json["entities"]] == added[:2]
    assert (ended.json["cursor"], ended.exit_code) == (added[1], 1)


def test_nothing_to_list_says_how_to_get_something(namespace: str) -> None:
    ended = kaizen("entities", "list", namespace, "--type", "guideline")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "kaizen sync phoenix" in ended.stderr


def test_the_evidence_of_a_tip_is_shown_with_its_quote(namespace: str, data_dir: Path) -> None:
    source = {"project": "shop", "trace_id": "abc", "span_id": "def", "quote": "no stock"}
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        store.commit(namespace, [Put(type="guideline", content="x", metadata={"sources": [source]}, id="t")])
    shown = kaizen("entities", "show", namespace, "t").stdout
    assert "trace abc of project shop" in shown
    assert "no stock" in shown


# JSON


def newest() -> str:
    """The id of the newest commit."""
    commit_id: str = kaizen("entities", "history", "kaizen", "--json").json["commits"][-1]["id"]
    return commit_id


def exported() -> str:
    assert kaizen("entities", "export", "kaizen", "--output", "kaizen.jsonl").exit_code == 0
    return "kaizen.jsonl"


def test_every_json_document_is_documented_key_by_key(namespace: str) -> None:
    tip = add_tip("one")
    done = {
        "entities add": tip,
        "entities list": kaizen("entities", "list", namespace, "--json").json,
        "entities show": kaizen("entities", "show", namespace, tip["id"], "--json").json,
        "entities consolidate": kaizen("entities", "consolidate", namespace, "--json").json,
        "entities review": kaizen("entities", "review", namespace, "--json").json,
        "entities search": kaizen("entities", "search", namespace, "one", "--json").json,
        "recall": kaizen("recall", "one", "--json").json,
        "entities history": kaizen("entities", "history", namespace, tip["id"], "--json").json,
        "entities delete": kaizen("entities", "delete", namespace, tip["id"], "--json").json,
        "entities revert": kaizen("entities", "revert", namespace, "--commit", newest(), "--json").json,
        "entities import": kaizen("entities", "import", namespace, exported(), "--merge", "--json").json,
        "store copy": kaizen("store", "copy", "--from", "sqlite", "--to", "filesystem", "--json").json,
        "store reindex": kaizen("store", "reindex", namespace, "--json").json,
        "namespaces list": kaizen("namespaces", "list", "--json").json,
        "namespaces create": kaizen("namespaces", "create", "other", "--json").json,
        "namespaces info": kaizen("namespaces", "info", namespace, "--json").json,
        "namespaces delete": kaizen("namespaces", "delete", "other", "--yes", "--json").json,
    }
    for command, value in done.items():
        assert_documented(command, value)
    # these need a Phoenix or PostgreSQL: test_sync_command.py, test_doctor.py, sync/fleet; `tips`: test_tips
    others = {command for command in JSON_KEYS.keys() - done.keys() if not command.startswith("tips ")}
    assert others == {"sync phoenix", "sync status", "sync retry", "sync relearn", "doctor", "fleet status"}


@pytest.mark.parametrize(
    "arguments",
    [
        "entities list nowhere",
        "entities show nowhere x",
        "entities add nowhere --content x",
        "entities delete nowhere x",
        "entities list ../x",
        "entities list",
        "entities list kaizen --limit 0",
        "entities list nowhere --all",
        "entities search nowhere x",
        "entities history nowhere",
        "entities revert nowhere --run x",
        "entities revert nowhere",
        "entities import nowhere no-such-file",
        "entities export nowhere",
        "store copy --from sqlite --to sqlite",
        "store copy --from sqlite:none --to filesystem",
        "store copy --from sqlite: --to filesystem",
        "store reindex nowhere",
        "entities list kaizen --where x",
        "namespaces info nowhere",
        "namespaces create ../x",
        "namespaces delete nowhere",
        "namespaces list --backend nope",
        "sync phoenix --namespace ../x",
        "sync phoenix --url nonsense",
        "sync nothing",
    ],
)
def test_errors_are_json_too_when_that_was_asked_for(arguments: str) -> None:
    ended = kaizen(*arguments.split(), "--json")
    assert ended.exit_code in (1, 2)
    assert ended.error.removeprefix("Error: ") == ended.json["error"]["message"]
    assert ended.json["error"]["type"]


def test_a_question_that_is_not_answered_is_json_too(namespace: str) -> None:
    ended = kaizen("namespaces", "delete", namespace, "--json")
    assert (ended.exit_code, ended.json["error"]["type"]) == (1, "Aborted")


# Hostile content


def assert_harmless(ended: Ended) -> None:
    for text in (ended.stdout, ended.stderr):
        assert not set(HARMFUL) & set(text), text


def test_stored_text_cannot_steer_the_terminal(namespace: str, data_dir: Path) -> None:
    metadata = {"category": HOSTILE, "status": HOSTILE, HOSTILE: [HOSTILE], "sources": [{"quote": HOSTILE}]}
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        put = Put(type="guideline", content=HOSTILE, metadata=metadata, id="bad")
        store.commit(namespace, [put], actor=HOSTILE, reason=HOSTILE, run_id=HOSTILE)
    for arguments in (
        "list kaizen",
        "list kaizen --type guideline",
        "list kaizen --all",
        "show kaizen bad",
        "search kaizen red",
        "history kaizen",
        "history kaizen bad",
        f"revert kaizen --dry-run --commit {newest()}",
    ):
        assert_harmless(kaizen("entities", *arguments.split()))
        assert_harmless(kaizen("entities", *arguments.split(), "--json"))
    assert kaizen("entities", "show", "kaizen", "bad", "--json").json["content"] == HOSTILE
    assert_harmless(kaizen("namespaces", "info", "kaizen"))
    for format_ in ("jsonl", "markdown"):
        assert_harmless(kaizen("entities", "export", "kaizen", "--format", format_))


def test_a_row_of_a_table_is_one_line_whatever_is_in_it(namespace: str, data_dir: Path) -> None:
    put = Put(type="guideline", content="one\ntwo\tthree", metadata={"category": "a\nb", "status": "c\nd"})
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        store.commit(namespace, [put])
    lines = kaizen("entities", "list", namespace, "--type", "guideline").stdout.splitlines()
    assert len(lines) == 2
    # It is no valid tip, and is shown as it is stored.
    assert re.search(r"  a b +- +c d +one two three$", lines[1])


def test_metadata_cannot_pose_as_the_entitys_own_fields(namespace: str, data_dir: Path) -> None:
    metadata = {"id": "somebody else", "sources": "not a list"}
    with open_store(StoreSettings(data_dir=data_dir)) as store:
        store.commit(namespace, [Put(type="guideline", content="x", metadata=metadata, id="true-id")])
    shown = kaizen("entities", "show", namespace, "true-id").stdout
    assert "true-id" in shown
    assert "somebody else" not in shown
    assert "not a list" in shown


def test_a_terminal_that_lacks_the_characters_is_no_error(namespace: str) -> None:
    add_tip("Prüfe zuerst 🙂")
    ended = kaizen_process("entities", "list", namespace, environ={"PYTHONIOENCODING": "cp437"})
    assert ended.exit_code == 0, ended
    assert "fe zuerst \\U0001f642" in ended.stdout


def test_a_reader_that_has_enough_is_no_error(namespace: str) -> None:
    for number in range(30):
        add_tip(f"{number} " + "x" * 3000)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "kaizen.cli", "entities", "list", namespace],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


# Settings


def test_options_beat_the_environment_and_that_beats_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def created_in(*options: str) -> list[str]:
        before = set(tmp_path.glob("*/kaizen.db"))
        assert kaizen("namespaces", "create", "n", *options).exit_code == 0
        return [path.parent.name for path in set(tmp_path.glob("*/kaizen.db")) - before]

    monkeypatch.delenv("KAIZEN_DATA_DIR")
    (tmp_path / ".env").write_text(f"KAIZEN_DATA_DIR={tmp_path}/from-file\n")
    assert created_in() == ["from-file"]
    monkeypatch.setenv("KAIZEN_DATA_DIR", f"{tmp_path}/from-environment")
    assert created_in() == ["from-environment"]
    assert created_in("--data-dir", f"{tmp_path}/from-option") == ["from-option"]


def test_the_default_place_is_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAIZEN_DATA_DIR")
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    assert list(Path.home().glob(".local/share/kaizen/kaizen.db"))


@pytest.mark.parametrize("backend", ["filesystem", "filesystem:{}", "sqlite:{}"])
def test_the_backend_may_be_a_kind_or_a_url(
    backend: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_BACKEND", backend.format(data_dir))
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    assert [path.name for path in data_dir.iterdir() if path.name in ("namespaces", "kaizen.db")] == [
        "kaizen.db" if backend.startswith("sqlite") else "namespaces"
    ]


def test_an_env_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KAIZEN_DATA_DIR=\xff\xfe\n")
    assert str(tmp_path / ".env") in kaizen("namespaces", "list").error
