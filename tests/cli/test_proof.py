"""`kaizen proof`, pinning tips, and what `kaizen doctor` says of an experiment."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync.model import Exposure
from kaizen.sync.state.exposures import CallCounts, ExposedTrace, RunMeasures
from kaizen.tips import StoredTip, manual_tip
from kaizen.tips.effect import wording_revision
from tests.support.command import kaizen

SIGNATURE = {"tool": "pay", "error": "amount must be in cents"}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    with open_store(StoreSettings(data_dir=tmp_path / "data", embedder="none")) as store:
        store.create_namespace("kaizen")
        tips = [
            replace(manual_tip("Pay in cents.", signature=SIGNATURE), id="helpful"),
            replace(manual_tip("Pay at noon."), id="idle"),
        ]
        store.commit("kaizen", tips)
        yield store


def stored(store: Store, tip_id: str) -> StoredTip:
    return StoredTip.of(store.get("kaizen", tip_id))


def expose(store: Store, count: int, *, p: float = 0.5) -> None:
    """Record runs of which the helpful tip makes nearly all succeed, instead of a third."""
    rng = random.Random(1)
    refs = {tip_id: f"{tip_id}@{wording_revision(stored(store, tip_id))}" for tip_id in ("helpful", "idle")}
    for number in range(count):
        held_out = [tip_id for tip_id in refs if rng.random() < p]
        succeeded = rng.random() < (0.3 if "helpful" in held_out else 0.95)
        exposure = Exposure(
            unit=f"u{number}",
            shown=tuple(ref for tip_id, ref in refs.items() if tip_id not in held_out),
            held_out=tuple(refs[tip_id] for tip_id in held_out),
            p={**dict.fromkeys(refs, p), "*": 0.02 if p else 0.0},
        )
        measures = RunMeasures(
            refused=() if succeeded else (("pay", SIGNATURE["error"]),),
            own=CallCounts(refused_calls=int(not succeeded), model_calls=2, tool_calls=1),
            tokens=100,
            model="gpt-4o",
        )
        exposed = ExposedTrace(
            trace_id=f"t{number}",
            began_at=START + timedelta(minutes=number),
            exposures=(exposure,),
            measures=measures,
            success=succeeded,
        )
        store.commit("kaizen", list(exposed.to_puts("phoenix", "p")))


def test_the_table_has_each_tip_with_its_numbers_below_one_sentence(store: Store) -> None:
    expose(store, 120)
    lines = kaizen("proof").stdout.splitlines()
    assert lines[0] == "Kaizen's tips together: not known yet, 0 of 20 runs without tips so far (120 runs)"
    assert lines[2].split()[:3] == ["ID", "VERDICT", "CHOSEN"]
    assert lines[3].startswith("helpful  helps")
    assert lines[3].endswith("Pay in cents.")
    assert lines[4].startswith("idle     open (")
    found = kaizen("proof", "--json").json
    helpful, idle = found["tips"]
    assert (helpful["verdict"]["name"], idle["verdict"]["name"]) == ("helps", "open")
    assert helpful["estimates"]["signature"]["low"] > 0
    assert found["commit_ids"] == []
    assert "effect" not in stored(store, "helpful").metadata


def test_new_verdicts_are_acted_on_if_asked_for(store: Store) -> None:
    expose(store, 120)
    ended = kaizen("proof", "--apply")
    assert "Made 1 new verdict." in ended.stderr
    assert stored(store, "helpful").metadata["effect"]["verdict"] == "helps"
    assert kaizen("proof", "--apply", "--json").json["commit_ids"] == []


def test_one_tip_is_shown_with_the_curve_of_its_interval(store: Store) -> None:
    expose(store, 120)
    ended = kaizen("proof", "show", "helpful")
    assert "helps: signature +" in ended.stdout
    curve = ended.stdout.splitlines()[-20:]
    assert curve[-1].split()[0] == "120"
    assert all("*" in line for line in curve)
    # It is right of 0 in the end.
    assert curve[-1].index("|") < curve[-1].index("-") < curve[-1].index("*")
    points = kaizen("proof", "show", "helpful", "--json").json["curve"]
    assert points[-1]["units"] == 120
    widths = [point["high"] - point["low"] for point in points]
    assert widths[-1] < widths[len(widths) // 2] < widths[0]


def test_a_tip_that_no_run_was_to_be_shown_is_an_error(store: Store) -> None:
    assert "in no run's choice" in kaizen("proof", "show", "idle").error


def test_a_tip_of_the_first_run_has_nothing_to_compare_yet(store: Store) -> None:
    expose(store, 1, p=0.01)
    ended = kaizen("proof", "show", "idle").stdout
    assert "Nothing to compare yet: 1 run with the tip, 0 without." in ended
    assert "OUTCOME" not in ended


def test_everything_can_be_checked_elsewhere(store: Store, tmp_path: Path) -> None:
    expose(store, 30)
    rows = list(csv.DictReader(io.StringIO(kaizen("proof", "export").stdout)))
    assert len(rows) == 90
    assert {row["tip_id"] for row in rows} == {"*", "helpful", "idle"}
    shown = sum(row["is_held_out"] == "False" for row in rows if row["tip_id"] == "helpful")
    assert shown == next(
        one["shown"] for one in kaizen("proof", "--json").json["tips"] if one["id"] == "helpful"
    )
    target = tmp_path / "rows.jsonl"
    kaizen("proof", "export", "--format", "jsonl", "--output", str(target))
    objects: list[dict[str, Any]] = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["unit"] for row in objects] == [row["unit"] for row in rows]
    assert objects[0]["cost_usd"] is None


def test_a_pinned_tip_is_held_out_no_more_until_it_is_unpinned(store: Store) -> None:
    def p() -> dict[str, float]:
        document = json.loads(kaizen("tips", "export", "--format", "recall").stdout)
        return {tip["id"]: tip.get("p", 0) for tip in document["tips"]}

    assert kaizen("tips", "pin", "idle").stdout.startswith("Pinned 1 tip.")
    assert p() == {"helpful": 0.2, "idle": 0}
    assert kaizen("tips", "unpin", "idle", "--json").json["unpinned"] == ["idle"]
    assert p() == {"helpful": 0.2, "idle": 0.2}


def test_an_open_verdict_says_when_one_is_possible(store: Store) -> None:
    expose(store, 20)
    told = kaizen("proof").stdout
    assert re.search(r"open \(at least \d+ more\)", told)
    assert "open, no verdict before about " in kaizen("proof", "show", "helpful").stdout


@pytest.mark.parametrize(("count", "p", "said"), [(0, 0.5, "KAIZEN_RECALL_ENABLED"), (30, 0.0, "HOLDOUT")])
def test_doctor_says_why_nothing_can_be_proven(store: Store, count: int, p: float, said: str) -> None:
    expose(store, count, p=p)
    checks = json.loads(kaizen("doctor", "--no-model", "--url", "http://127.0.0.1:9", "--json").stdout)[
        "checks"
    ]
    [check] = [check for check in checks if check["name"] == "proof"]
    assert check["status"] == "note"
    assert said in check["advice"]
