"""Which tips a unit is not shown: sticky, independent, the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kaizen.recall import ServedTip, Snapshot
from kaizen.recall.choosing import Request
from kaizen.recall.holdout import assign, fraction, is_control
from kaizen.recall.recalled import Recalled, recall_from

PAGE = Path(__file__).parents[2] / "docs/reference/recall.md"


def vectors() -> list[tuple[str, ...]]:
    rows = re.findall(
        r"^\| `(.*)` \| `(.*)` \| `(.*)` \| `(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) >= 4
    return rows


@pytest.mark.parametrize(("salt", "tip_id", "unit", "expected"), vectors())
def test_the_published_test_vectors_hold(salt: str, tip_id: str, unit: str, expected: str) -> None:
    assert f"{fraction(salt, tip_id, unit):.12f}" == expected


def test_about_the_share_p_of_the_units_is_held_out() -> None:
    tip = ServedTip("t", 1, "x")
    held_out = sum(assign(tip, f"unit-{n}", "salt", 0.2) == "held_out" for n in range(5_000))
    assert 900 < held_out < 1_100
    assert not any(assign(tip, f"unit-{n}", "salt", 0.0) == "held_out" for n in range(1_000))
    assert all(assign(tip, f"unit-{n}", "salt", 1.0) == "held_out" for n in range(1_000))


def test_tips_are_held_out_independently_of_each_other() -> None:
    one, other = ServedTip("a", 1, "x"), ServedTip("b", 1, "x")
    units = [f"unit-{n}" for n in range(5_000)]
    both = sum(assign(one, u, "s", 0.5) == assign(other, u, "s", 0.5) == "held_out" for u in units)
    assert 1_150 < both < 1_350


def recalled(unit: str, *, p: float = 0.5, bound: float = 1.0, share: float = 0.02) -> Recalled:
    tips = [ServedTip(f"tip-{n}", 1, "Use cents.", tool="pay", p=p) for n in range(3)]
    snapshot = Snapshot(tips, salt="s", control_share=share, digest="d")
    return recall_from(snapshot, Request("", tools={"pay": ""}), unit=unit, holdout_bound=bound)


def test_what_is_held_out_is_in_no_text_and_on_the_spans() -> None:
    found = next(r for n in range(100) if (r := recalled(f"u{n}")).shown and r.held_out)
    assert len(found.shown) + len(found.held_out) == 3
    assert found.notes["pay"].count("Use cents.") == len(found.shown)
    attributes = found.attributes()
    assert all(tip.ref in attributes["kaizen.recall.held_out"] for tip in found.held_out)
    assert attributes["kaizen.recall.unit"] == found.unit
    assert attributes["kaizen.recall.snapshot"] == "d"


def test_the_probabilities_in_force_are_those_of_each_tip_and_of_being_shown_nothing() -> None:
    assert recalled("u").p == {"tip-0": 0.5, "tip-1": 0.5, "tip-2": 0.5, "*": 0.02}


def test_a_control_unit_is_shown_nothing() -> None:
    control = next(f"u{n}" for n in range(1_000) if is_control(f"u{n}", "s", 0.02))
    found = recalled(control)
    assert (found.is_control, found.shown, found.text, dict(found.notes)) == (True, (), "", {})
    assert len(found.held_out) == 3
    assert found.attributes()["kaizen.recall.control"] == "true"


def test_the_bound_limits_every_tip_and_zero_ends_the_experiment() -> None:
    assert recalled("u", bound=0.1, share=0).p["tip-0"] == 0.1
    units = [f"u{n}" for n in range(300)]
    assert all(len(recalled(unit, bound=0).shown) == 3 for unit in units)
    assert recalled("u", bound=0).p["tip-0"] == 0


def test_without_a_tip_that_is_tried_nobody_goes_without() -> None:
    assert all(len(recalled(f"u{n}", p=0.0).shown) == 3 for n in range(300))
