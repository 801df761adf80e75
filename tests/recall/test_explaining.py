"""What `python -m kaizen.recall` says of agents with the same environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.recall.explaining import as_text, explain
from kaizen.store import StoreSettings, open_store
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("recall", "tracing", "said"),
    [
        ("", "true", "Recall is off in the frameworks"),
        ("false", "", "Recall is off in the frameworks"),
        ("true", "", "nothing can be proven of the tips"),
        ("true", "true", "spans say which tips were shown"),
    ],
)
def test_it_says_whether_tips_are_given_and_can_be_proven(
    recall: str, tracing: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_RECALL_ENABLED", recall)
    monkeypatch.setenv("KAIZEN_AUTO_ENABLED", tracing)
    first, *_ = as_text(explain("a task", source=str(tmp_path / "missing.json"))).splitlines()
    assert said in first


def test_it_says_why_no_tip_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("kaizen")
        tip = stored_tip(
            "a", "Give the amount in cents.", "t1", signature={"tool": "refund", "error": "cents"}
        )
        store.commit("kaizen", changes_of(tip))
    source = f"sqlite:{tmp_path}"
    assert "No tip is about these tools" in as_text(explain("Book a train", ["find_trains"], source=source))
    shown = as_text(explain("I want a refund", ["refund"], source=source))
    assert "Shown: 1 tip," in shown
    assert "--explain" not in shown
    monkeypatch.setenv("KAIZEN_RECALL_MAX_TOKENS", "1")
    left_out = explain("I want a refund", ["refund"], source=source)
    assert "Add --explain" in as_text(left_out)
    assert "not shown: its" in as_text(left_out, with_scores=True)
