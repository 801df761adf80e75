"""An experiment: which units count, in which trial, and that their order changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kaizen.sync.proof.experiment import Experiment
from kaizen.sync.proof.values import Assignment, Trial, Unit

START = datetime(2026, 1, 1, tzinfo=UTC)


def unit(number: int, *assignments: Assignment, **outcomes: Any) -> Unit:
    # Three begin at once each time.
    began_at = START + timedelta(minutes=number // 3)
    return Unit(id=f"u{number:05}", began_at=began_at, assignments=assignments, **outcomes)


def assigned(*, held_out: bool, tip_id: str = "t", p: float = 0.2, revision: str = "1") -> Assignment:
    return Assignment(tip_id=tip_id, revision=revision, p=p, is_held_out=held_out)


def draw_units(count: int, *, gain: float = 0.2) -> list[Unit]:
    """Units with two tips, of which `a` helps, and outcomes of all kinds, some unknown."""
    rng = random.Random(1)
    units = []
    for number in range(count):
        p = rng.choice([0.5, 0.2])
        a, b = (assigned(tip_id=tip_id, held_out=rng.random() < p, p=p) for tip_id in "ab")
        succeeded = rng.random() < (0.4 if a.is_held_out else 0.4 + gain)
        units.append(
            unit(
                number,
                a,
                b,
                recurred={"a": not succeeded},
                success=rng.choice([succeeded, succeeded, None]),
                refused_calls=rng.randrange(3),
                tokens=rng.randrange(1_000) + (0 if a.is_held_out else 400),
                stratum=rng.choice("xy"),
            )
        )
    return units


def estimated(units: Iterable[Unit], *, is_adjusted: bool = False) -> list[Trial]:
    experiment = Experiment()
    for one in units:
        experiment.add(one)
    return experiment.trials(is_adjusted=is_adjusted)


@pytest.mark.parametrize("is_adjusted", [True, False])
def test_units_in_another_order_give_the_same_estimates(*, is_adjusted: bool) -> None:
    units = draw_units(600)
    expected = estimated(units, is_adjusted=is_adjusted)
    for seed in range(3):
        random.Random(seed).shuffle(units)
        assert estimated(units, is_adjusted=is_adjusted) == expected


def test_rates_gain_and_counts_are_those_of_the_units() -> None:
    units = draw_units(4_000)
    helpful, idle = estimated(units)
    assert (helpful.tip_id, idle.tip_id) == ("a", "b")
    assert helpful.chosen == 4_000
    assert helpful.held_out == sum(one.assignments[0].is_held_out for one in units)
    signature = helpful.estimates["signature"]
    assert signature.rate_held_out == pytest.approx(0.4, abs=0.04)
    assert signature.gain == pytest.approx(0.2, abs=0.05)
    assert 0 < signature.low < 0.2 < signature.high
    assert signature.low < signature.gain < signature.high
    success = helpful.estimates["success"]
    assert success.units == sum(one.success is not None for one in units)
    assert idle.estimates["success"].low < 0 < idle.estimates["success"].high
    assert "signature" not in idle.estimates


def test_amounts_are_compared_too() -> None:
    helpful, idle = estimated(draw_units(4_000))
    tokens = helpful.amounts["tokens"]
    assert tokens.difference == pytest.approx(400, abs=40)
    assert abs(tokens.difference - 400) < tokens.radius < 60
    assert abs(idle.amounts["tokens"].difference) < idle.amounts["tokens"].radius
    assert "cost_usd" not in helpful.amounts


def test_a_change_of_p_beside_a_change_of_the_base_rate_misleads_nobody() -> None:
    rng = random.Random(5)
    units = []
    for number in range(6_000):
        # Early units succeed often and are held out often: held out units look better than they are.
        p, base = (0.5, 0.9) if number < 3_000 else (0.1, 0.3)
        drawn = assigned(held_out=rng.random() < p, p=p)
        units.append(unit(number, drawn, success=rng.random() < base))
    (trial,) = estimated(units)
    success = trial.estimates["success"]
    assert success.gain == pytest.approx(0, abs=0.03)
    assert success.low < 0 < success.high


def test_another_revision_is_another_trial() -> None:
    units = [
        unit(n, assigned(held_out=n % 2 == 0, revision=str(n % 4 // 2)), success=n % 3 == 0)
        for n in range(100)
    ]
    first, second = estimated(units)
    assert (first.revision, second.revision) == ("0", "1")
    assert (first.chosen, second.chosen) == (50, 50)


def test_what_was_not_drawn_is_no_exposure() -> None:
    pinned = unit(1, assigned(held_out=False, p=0.0), success=True)
    assert estimated([pinned]) == []


def test_a_trial_says_nothing_while_nothing_was_held_out() -> None:
    (trial,) = estimated(unit(n, assigned(held_out=False), success=True) for n in range(50))
    assert (trial.shown, trial.held_out, trial.estimates, trial.amounts) == (50, 0, {}, {})
    assert trial.imbalance == pytest.approx(-10 / (50 * 0.16) ** 0.5)
