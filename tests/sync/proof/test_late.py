"""Units whose outcomes are still to come: which are left out, and that nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from kaizen.sync.proof.experiment import Experiment
from kaizen.sync.proof.late import count_settled
from kaizen.sync.proof.values import Assignment, Unit

MINUTES = 60.0 * np.arange(1_000)


def test_the_youngest_units_wait_while_fewer_of_them_have_an_outcome() -> None:
    known = np.ones(1_000, np.bool_)
    known[800::3] = False
    assert count_settled(MINUTES, known) == 800


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_units_are_not_left_out_because_few_are_ever_judged(share: float) -> None:
    known = np.random.default_rng(2).random(1_000) < share
    assert count_settled(MINUTES, known) >= 900


def test_units_count_after_a_week_although_fewer_are_judged_since_then() -> None:
    known = np.ones(1_000, np.bool_)
    known[300:] = np.arange(700) % 5 == 0
    a_week_older = 1_000 - 7 * 24
    assert a_week_older - 1 <= count_settled(60 * MINUTES, known) < a_week_older + 50


def test_few_units_all_count() -> None:
    assert count_settled(MINUTES[:30], np.arange(30) < 15) == 30
    assert count_settled(MINUTES[:0], np.zeros(0, np.bool_)) == 0


def test_failures_that_are_known_first_do_not_pull_the_estimate_down() -> None:
    rng = np.random.default_rng(5)
    experiment = Experiment()
    for number in range(2_000):
        is_held_out = bool(rng.random() < 0.5)
        good = bool(rng.random() < 0.9)
        # Failures are known at once, successes of the last 400 units not yet.
        success = None if good and number >= 1_600 else good
        began_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        assigned = (Assignment(tip_id="t", revision="1", p=0.5, is_held_out=is_held_out),)
        experiment.add(Unit(id=f"{number:04}", began_at=began_at, assignments=assigned, success=success))
    [trial] = experiment.trials()
    assert trial.chosen == 2_000
    assert trial.estimates["success"].units <= 1_600
    assert trial.estimates["success"].rate_shown == pytest.approx(0.9, abs=0.03)
