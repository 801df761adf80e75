"""`kaizen sync relearn`, and what `kaizen tips show` says of a tip that was mined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.store import StoreSettings, open_store
from tests.cli.test_commands import assert_documented
from tests.support.command import kaizen
from tests.sync.knowledge.test_claim_tests import drained, from_elsewhere, learn, taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_TIPS_MODEL", "offline")
    with open_store(StoreSettings(data_dir=tmp_path / "data")) as store:
        yield store


def test_relearn_says_what_it_would_do_does_it_and_can_be_undone(store: Store) -> None:
    learn(store, taken("one"), drained("two", at=1))
    dry = kaizen("sync", "relearn", "--dry-run", "--json").json
    assert [len(preview["traces"]) for preview in dry["previews"]] == [2]
    assert "Nothing was done" in kaizen("sync", "relearn", "--dry-run").stdout
    done = kaizen("sync", "relearn", "--json").json
    assert_documented("sync relearn", done)
    (report,) = done["projects"]
    assert (report["project"], report["traces"], report["model"]["calls"]) == ("stories", 2, 0)
    assert kaizen("entities", "revert", "kaizen", "--run", report["run_id"]).exit_code == 0
    assert kaizen("sync", "relearn").exit_code == 0


def test_relearn_takes_what_started_since_and_no_nonsense(store: Store) -> None:
    learn(store, taken("one"))
    assert kaizen("sync", "relearn", "--since", "1h", "--json").json["projects"][0]["traces"] == 0
    assert kaizen("sync", "relearn", "--since", "soon").exit_code == 2


def test_show_says_how_often_the_failure_was_seen_and_what_speaks_against_the_tip(store: Store) -> None:
    learn(store, taken("one"), taken("two", at=1), from_elsewhere("three", at=2))
    (tip,) = kaizen("tips", "--json").json["entities"]
    document = kaizen("tips", "show", tip["id"], "--json").json
    assert_documented("entities show", document)
    history = document["signature_history"]
    assert (history["conversations"], history["seen_in"], history["trace_id"], history["since"]) == (
        3,
        2,
        "two",
        1,
    )
    shown = kaizen("tips", "show", tip["id"]).stdout
    assert "in 2 of 3 conversations that called the tool, last in trace two" in shown
    assert "counterexamples" in shown
