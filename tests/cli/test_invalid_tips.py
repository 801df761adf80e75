"""Tips that got past `add` and `import`: every command names them in one line and goes on."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.store import Put, Store, StoreSettings, open_store
from tests.support.command import kaizen
from tests.support.listed import ListedSource, one_call
from tests.support.stored_tips import stored_tip
from tests.support.syncing import make_sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer

N = "kaizen"
READ_ALL = "Read every page of search_orders until a page comes back empty."
HOSTILE: dict[str, dict[str, Any]] = {
    "bad-status": {"status": "bogus"},
    "bad-sources": {"status": "active", "sources": 3},
    "bad-source": {"status": "active", "sources": [{"trace_id": 1, "tools": []}]},
    "bad-opponents": {"status": "active", "contradicts": 5, "contradictions": [1]},
    "bad-steps": {"implementation_steps": "stop", "trigger": 7},
    "bad-merge": {"merged_from": [{}], "merged_into": 3, "kept_apart": "x"},
    "bad-waiting": {"status": "quarantined", "sources": "x", "quarantine_reason": ["y"]},
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path / "data", embedder="none")) as store:
        store.create_namespace(N)
        hostile = [
            Put(id=tip_id, type="guideline", content=READ_ALL, metadata=metadata)
            for tip_id, metadata in HOSTILE.items()
        ]
        sound = [stored_tip("t1", READ_ALL, "a"), stored_tip("t2", READ_ALL.upper(), "b")]
        waiting = stored_tip("w1", "Use sudo.", "c", status="quarantined", quarantine_reason="it says sudo")
        store.commit(N, [*hostile, *(change for tip in (*sound, waiting) for change in tip.to_changes())])
        yield store


def named(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The ids that were named, each in a warning of one line."""
    messages = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert all("\n" not in message for message in messages)
    return {tip_id for tip_id in HOSTILE for message in messages if f"tip {tip_id} is not valid" in message}


def test_a_sync_learns_its_traces_and_names_them(
    store: Store,
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    told = [{"role": "user", "content": "What is LESSON-alpha?"}]
    traces = [one_call(f"t{n}", n, told, "-") for n in range(2)]

    report = make_sync(ListedSource(traces), store).run()  # type: ignore[arg-type]  # it is a source

    assert dict(report.states) == {"learned": 2}
    assert named(caplog) == set(HOSTILE)
    assert all(store.get(N, tip_id).revision == 1 for tip_id in HOSTILE)


def test_consolidating_merges_the_others(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    done = kaizen("entities", "consolidate", N, "--model", "offline", "--apply", "--json").json

    assert [merge["id"] for merge in done["merges"]] == ["t1"]
    assert named(caplog) == set(HOSTILE)


def test_review_lists_and_decides_on_the_others(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    listed = kaizen("entities", "review", N, "--json").json
    assert [tip["id"] for tip in listed["quarantined"]] == ["w1"]
    assert named(caplog) == {"bad-waiting"}

    assert kaizen("entities", "review", N, "--approve", "w1").exit_code == 0
    assert "tip bad-waiting is not valid" in kaizen("entities", "review", N, "--approve", "bad-waiting").error


@pytest.mark.parametrize("tip_id", HOSTILE)
def test_one_is_shown_with_what_it_holds(tip_id: str) -> None:
    assert READ_ALL in kaizen("entities", "show", N, tip_id).stdout
    shown = kaizen("entities", "show", N, tip_id, "--json").json
    assert shown["metadata"] == HOSTILE[tip_id]
    assert shown["stale_tools"] == []


@pytest.mark.parametrize("options", [["--stale"], ["--type", "guideline"], ["--all"]])
def test_lists_go_on(options: list[str]) -> None:
    ended = kaizen("entities", "list", N, *options)

    assert (ended.exit_code, "Traceback" in ended.stderr) == (0, False)
    assert kaizen("namespaces", "info", N).exit_code == 0


def test_the_exported_page_holds_the_others(caplog: pytest.LogCaptureFixture) -> None:
    ended = kaizen("entities", "export", N, "--format", "markdown")

    assert (ended.exit_code, ended.stdout.count("\n- ")) == (0, 2)
    assert named(caplog) == set(HOSTILE)


@pytest.mark.parametrize("field", ["status=bogus", "sources=3", "contradicts=5", "support=-1"])
def test_none_is_added(field: str, store: Store) -> None:
    before = store.get_namespace(N).version

    error = kaizen("entities", "add", N, "--content", "x", "--metadata", field).error

    assert f"metadata field '{field.partition('=')[0]}'" in error
    assert store.get_namespace(N).version == before


def test_none_is_merged_in_from_a_file_and_a_copy_of_a_namespace_names_them(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "all.jsonl"
    assert kaizen("entities", "export", N, "--output", str(file)).exit_code == 0
    kaizen("namespaces", "create", "other")
    caplog.clear()

    assert "is not valid" in kaizen("entities", "import", "other", str(file), "--merge").error
    assert store.get_namespace("other").version == 0
    copied = kaizen("entities", "import", "copy", str(file), "--json")
    assert json.loads(copied.stdout)["entities"] == store.count(N)
    assert named(caplog) == set(HOSTILE)
