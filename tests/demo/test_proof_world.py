"""The benchmark that compares verdicts with the truth of the world, in parts and as a small whole."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from kaizen.demo.world.agent import attempt
from kaizen.demo.world.player import RulesPlayer
from tests.support.slow import SLOW

ROOT = Path(__file__).parents[2]


@pytest.fixture
def proof_world(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("proof_world")


@pytest.fixture
def verdicts(proof_world: Any) -> Any:
    return importlib.import_module("proof_world_verdicts")


@pytest.fixture
def tips(proof_world: Any) -> Any:
    return importlib.import_module("proof_world_tips")


@pytest.mark.parametrize("name", ["flight_date", "tag_separator", "phone_form", "iso_week"])
def test_a_wrong_tip_makes_a_right_guess_wrong(tips: Any, name: str) -> None:
    task = tips.task_of(tips.WORLD[name], "1")
    note = {task.rule.tool: tips.WRONG[name]}
    assert attempt(task, RulesPlayer(task)).is_first_try
    assert not attempt(task, RulesPlayer(task), notes=note).is_first_try


def test_an_idle_tip_does_not_tell_the_rule_of_its_tool(tips: Any) -> None:
    for name, text in tips.IDLE.items():
        task = tips.task_of(tips.WORLD[name], "1")
        without, shown = (
            attempt(task, RulesPlayer(task), notes=note) for note in ({}, {task.rule.tool: text})
        )
        assert task.rule.tool in text
        assert (shown.is_done, shown.errors) == (without.is_done, without.errors)


@pytest.mark.parametrize(
    ("truth", "verdict", "judged"),
    [
        ("helps", "helps", "right"),
        ("harms", "harms", "right"),
        ("idle", "no difference", "right"),
        ("idle", "helps", "wrong"),
        ("harms", "no difference", "wrong"),
        ("harms", "open", "open"),
    ],
)
def test_a_verdict_is_right_open_or_wrong(verdicts: Any, truth: str, verdict: str, judged: str) -> None:
    proof = {"tips": [{"id": "t", "verdict": {"name": verdict}}]}
    unit = {"is_control": False, "is_first_try": True, "label": "success"}
    outcomes = [{**unit, "shown": ["t"], "held_out": []}, {**unit, "shown": [], "held_out": ["t"]}]
    [row] = verdicts.judged_rows(proof, {"t": {"truth": truth, "content": "..."}}, outcomes)
    assert row["judged"] == judged
    assert row["world"]["shown"] == {"units": 1, "first_try": 1, "success": 1}


@pytest.mark.skipif(not SLOW, reason="the whole experiment runs with KAIZEN_TEST_SLOW=true, as CI sets it")
@pytest.mark.timeout(240)
def test_verdicts_of_a_small_run_are_read_back_from_a_phoenix(
    proof_world: Any, phoenix_executable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, numbers = str(tmp_path / "world"), tmp_path / "numbers.json"
    proof_world.main(["prepare", world, "--learn-runs", "8"])
    proof_world.main(["run", world, "--units", "60", "--workers", "2"])
    proof_world.main(["judge", world, "--phoenix", str(phoenix_executable), "--json", str(numbers)])
    told = json.loads(numbers.read_text())
    assert "60 units by an agent played by rules, no model." in capsys.readouterr().out
    assert told["proof"]["units"] == told["proof"]["traces"] == 60
    assert len(told["tips"]) == 15
    for tip in told["tips"]:
        measured = tip["measured"] or {"shown": 0, "held_out": 0}
        assert (measured["shown"], measured["held_out"]) == tuple(
            tip["world"][group]["units"] for group in ("shown", "held_out")
        )
        assert tip["judged"] != "wrong"
