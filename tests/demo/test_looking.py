"""What `kaizen demo --keep` leaves to look at: tips that were measured, and the page that shows them."""

from __future__ import annotations

import threading
import urllib.request
from typing import TYPE_CHECKING

import pytest

from kaizen.demo import looking
from kaizen.demo.experiment import ATTACKED, play_experiment
from kaizen.store import StoreSettings, open_store
from kaizen.sync import read_proof
from kaizen.tips import GUIDELINE, read_evidence, read_tip
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.store import Store


def test_the_experiment_measures_tips_and_leaves_one_to_review(tmp_path: Path) -> None:
    assert ATTACKED < 60
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        play_experiment(store, "kaizen", runs=72, syncs=2)
        proof = read_proof(store, "kaizen")
        waiting = store.list("kaizen", type=GUIDELINE, where={"status": "quarantined"}).entities
        assert len(waiting) == 1
        assert "ignore all previous" in str(waiting[0].metadata["quarantine_reason"])
        assert proof.units > 20
        assert all(is_backed(store, measured.tip.id) for measured in proof.tips)
        # What the agent without a model does with a tip, it does without a doubt.
        estimates = [one.trial.estimates["signature"] for one in proof.tips if one.trial.held_out]
        assert estimates
        assert all(one.rate_shown == 1 and one.rate_held_out == 0 for one in estimates)


def is_backed(store: Store, tip_id: str) -> bool:
    tip = read_tip(store.get("kaizen", tip_id))
    return tip is not None and any(read_evidence(store, "kaizen", tip))


@pytest.mark.skipif(not SLOW, reason="KAIZEN_TEST_SLOW is not true")
def test_the_page_is_served_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        looking, "play_experiment", lambda store, name: play_experiment(store, name, runs=60, syncs=2)
    )
    said: list[str] = []
    seen: list[str] = []
    others = set(threading.enumerate())

    def say(line: str) -> None:
        said.append(line)
        if "Look at it: " in line:
            with urllib.request.urlopen(line.partition("Look at it: ")[2]) as answer:
                seen.append(answer.read().decode())
        if "Ctrl-C" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looking.look(StoreSettings(data_dir=tmp_path / "store"), "kaizen", say)
    assert "What agents are told" in seen[0]
    assert "kaizen_" in said[2]
    assert set(threading.enumerate()) <= others
