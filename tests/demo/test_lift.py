"""The benchmark of what tips change: its intervals, its arms, and a small run of the whole."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from kaizen.demo.model_server import ModelServer, Scenarios
from kaizen.demo.world.agent import SYSTEM_PROMPT, attempt
from kaizen.demo.world.development import DRAIN_FIRST, FAMILIES, REFUND_CENTS
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.tips import StoredTip

ROOT = Path(__file__).parents[2]
SMALL = ["--families", "3", "--held-out", "1", "--learn-runs", "6", "--tasks", "4"]


@pytest.fixture
def lift(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("lift")


@pytest.fixture
def world_traces(lift: Any) -> Any:
    return importlib.import_module("world_traces")


@pytest.fixture
def report(lift: Any) -> Any:
    return importlib.import_module("lift_report")


@pytest.fixture
def placing(lift: Any) -> Any:
    return importlib.import_module("lift_tips")


def tip(content: str, **metadata: Any) -> StoredTip:
    return StoredTip(id=content, content=content, metadata=metadata)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1.0), (1, 320, 0.001, 0.017)],
)
def test_an_interval_of_a_share_is_wilsons(
    report: Any, hits: int, count: int, low: float, high: float
) -> None:
    assert report.wilson(hits, count) == pytest.approx((low, high), abs=0.001)


def test_an_interval_of_a_mean_holds_it_and_is_the_same_again(report: Any) -> None:
    values = [0, 1, 1, 2, 5, 1, 0, 3]
    low, high = report.bootstrap(values)
    assert low < sum(values) / len(values) < high
    assert report.bootstrap(values) == (low, high)
    assert report.bootstrap([2, 2, 2]) == (2, 2)


def test_a_tip_stands_at_the_tool_that_it_prevents_a_failure_of(placing: Any) -> None:
    both = "Call `drain_node` before `restart_node`."
    named = placing.notes_with(DRAIN_FIRST, [tip(both)])
    assert set(named) == {"drain_node", "restart_node"}
    signed = placing.notes_with(DRAIN_FIRST, [tip(both, signature={"tool": "restart_node", "error": "..."})])
    assert signed == {"restart_node": f"\n\n[kaizen]\n- {both}\n[/kaizen]"}


def test_the_placebo_is_of_other_tools_and_the_rest_is_not(placing: Any) -> None:
    tips = [tip("Pass `amount` of `refund_order` in cents."), tip("Drain with `drain_node` first.")]
    wordings = {"offline": tips}
    placebo = placing.shown(REFUND_CENTS, placing.Arm(place="placebo"), wordings)["system"]
    assert "drain_node" in placebo
    assert "refund_order" not in placebo
    own = placing.shown(REFUND_CENTS, placing.Arm(place="system prompt", wording="offline"), wordings)[
        "system"
    ]
    assert own.startswith(SYSTEM_PROMPT + "\n\n<kaizen-tips>\n")
    assert "refund_order" in own
    assert "drain_node" not in own
    assert placing.shown(REFUND_CENTS, placing.Arm(place="none"), wordings) == {}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_sync_reads_an_attempt_as_it_was(family: Any, world_traces: Any) -> None:
    for seed in ("1", "2", "3"):
        task = WorldTask(family=family, seed=seed)
        made = attempt(task, RulesPlayer(task))
        read = build_trajectory(world_traces.trace_of(made, 0))
        assert [(m.role, m.content) for m in read.messages] == [
            (m["role"], m["content"]) for m in made.messages
        ]
        calls = [call for message in read.messages for call in message.tool_calls]
        assert len(calls) == made.calls
        assert len(read.tools) == len(family.tools)


def run(lift: Any, path: Path, *more: str) -> dict[str, Any]:
    lift.main([*SMALL, "--json", str(path), *more])
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_small_run_says_that_no_model_took_part_and_measures_every_arm(
    lift: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(lift, tmp_path / "one.json", "--show-tips")
    said = capsys.readouterr().out
    assert said.startswith("Fresh tasks by an agent played by rules, no model;")
    assert "| drain_first | development |" in said
    tries: dict[tuple[str, str], list[bool]] = {}
    for one in result["attempts"]:
        tries.setdefault((one["family"], one["arm"]), []).append(one["first_try"])
    assert tries["drain_first", "none"] == tries["drain_first", "placebo"] == [False] * 4
    assert tries["drain_first", "offline tips, tool description"] == [True] * 4
    assert tries["drain_first", "offline tips, system prompt"] == [True] * 4
    assert {one["arm"] for one in result["attempts"] if one["is_later"]} == {
        "none",
        "stale tips",
        "after learning again",
    }
    again = run(lift, tmp_path / "two.json", "--show-tips")
    assert again["attempts"] == result["attempts"]
    assert again["tips"] == result["tips"]


def test_a_cut_run_makes_one_call_of_the_tool_that_has_the_rule(lift: Any, tmp_path: Path) -> None:
    result = run(lift, tmp_path / "cut.json", "--first-call-only", "--no-change", "--arms", "none")
    assert {one["arm"] for one in result["attempts"]} == {"none"}
    assert {one["errors"] for one in result["attempts"]} == {1}


def test_learners_are_measured_beside_each_other_and_learning_and_trying_can_be_two_steps(
    lift: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--families", "2", "--held-out", "0", "--learn-runs", "3", "--tasks", "2", "--workers", "4"]
    learners = ["--learners", "offline", "model", "both", "--tips-model", "openai/scripted"]
    saved, tried = str(tmp_path / "tips.json"), tmp_path / "tried.json"
    with ModelServer(scenarios=Scenarios()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        lift.main([*small, *learners, "--learn-only", "--save-tips", saved])
        assert "runs to learn from" in capsys.readouterr().out
        server.clear()
        lift.main([*small, *learners, "--tips", saved, "--json", str(tried)])
        assert server.requests == []
    result = json.loads(tried.read_text())
    arms = [f"{who} tips, {where}" for who in ("offline", "model", "both") for where in lift.PLACES[2:]]
    assert list(dict.fromkeys(one["arm"] for one in result["attempts"])) == ["none", "placebo", *arms]
    # A model that says nothing leaves the miner's words, and the same words are given once.
    assert len(result["tips"]["offline"]) >= 2
    assert result["tips"]["offline"] == result["tips"]["model"] == result["tips"]["both"]


def test_learners_that_need_a_model_are_refused_without_one(
    lift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        lift.main(["--learners", "model"])
    assert "need a model" in capsys.readouterr().err
