"""What `python -m kaizen.recall` says of agents with the same environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.recall.explaining import as_text, explain

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
