"""Intervals and e-values: what they must say whatever is drawn, on few and fixed draws."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from kaizen.sync.proof.betting import (
    MOST_REFUTED,
    SIZES,
    WEIGHTS,
    Units,
    baselines,
    bounds,
    count_cells,
    log_capital,
    place_bets,
)


def draw(trials: int, units: int, *, shown: float, held_out: float, p: float = 0.2, seed: int = 1) -> Units:
    rng = np.random.default_rng(seed)
    is_held_out = rng.random(trials * units) < p
    good = rng.random(trials * units) < np.where(is_held_out, held_out, shown)
    return Units(np.repeat(np.arange(trials), units), is_held_out, np.full(trials * units, p), good)


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("baseline", [0.05, 0.5, 0.95])
def test_a_score_has_the_gain_as_its_mean_whatever_the_baseline(p: float, baseline: float) -> None:
    shown, held_out = 0.7, 0.4
    mean = 0.0
    for is_held_out, good in product([True, False], repeat=2):
        rate = held_out if is_held_out else shown
        chance = (p if is_held_out else 1 - p) * (rate if good else 1 - rate)
        unit = Units(np.array([0]), np.array([is_held_out]), np.array([p]), np.array([good]))
        mean += chance * place_bets(unit, np.array([baseline])).score[0]
    assert mean == pytest.approx(shown - held_out)


@pytest.mark.parametrize("on_more", [True, False])
@pytest.mark.parametrize("p", [0.02, 0.2, 0.5, 0.9])
def test_the_capital_is_fair_at_the_true_gain_and_never_negative(p: float, *, on_more: bool) -> None:
    # No interval begins above MOST_REFUTED, so that nobody bets on more than that.
    for gain, baseline in product((-1.0, -0.8, 0.0, 0.3, MOST_REFUTED), (0.05, 0.3, 0.5, 0.95)):
        true_gain = gain if on_more else -gain
        shown, held_out = (1 + true_gain) / 2, (1 - true_gain) / 2
        mean = np.zeros(len(SIZES))
        for is_held_out, good in product([True, False], repeat=2):
            rate = held_out if is_held_out else shown
            chance = (p if is_held_out else 1 - p) * (rate if good else 1 - rate)
            unit = Units(np.array([0]), np.array([is_held_out]), np.array([p]), np.array([good]))
            bets = place_bets(unit, np.array([baseline]))
            factor = np.exp(bets.growth(np.array([true_gain]), on_more=on_more)[:, 0])
            assert (factor > 0).all()
            mean += chance * factor
        assert mean == pytest.approx(1)


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
def test_a_bet_at_no_gain_is_the_likelihood_ratio_of_that_gain(p: float) -> None:
    shown, held_out = 0.55, 0.5
    good = (1 - p) * shown + p * held_out
    for is_held_out, is_good in product([True, False], repeat=2):
        unit = Units(np.array([0]), np.array([is_held_out]), np.array([p]), np.array([is_good]))
        bets = place_bets(unit, np.array([good]))
        bet = (shown - held_out) * p * (1 - p) / (good * (1 - good))
        rate = held_out if is_held_out else shown
        ratio = rate / good if is_good else (1 - rate) / (1 - good)
        assert 1 + bet * bets.score[0] == pytest.approx(ratio)


def test_a_baseline_depends_on_earlier_units_alone() -> None:
    units = draw(2, 200, shown=0.7, held_out=0.4)
    changed = units.good.copy()
    changed[150] = ~changed[150]
    before, after = baselines(units), baselines(units._replace(good=changed))
    assert (before[:151] == after[:151]).all()
    assert (before[200:] == after[200:]).all()
    strata = np.tile(np.arange(3), 134)[:400]
    before, after = baselines(units, strata), baselines(units._replace(good=changed), strata)
    assert (before[:151] == after[:151]).all()


def test_a_baseline_comes_to_be_the_share_of_good_units() -> None:
    units = draw(1, 20_000, shown=0.9, held_out=0.5)
    assert baselines(units)[-1] == pytest.approx(0.8 * 0.9 + 0.2 * 0.5, abs=0.05)


def test_counted_cells_have_the_capital_of_the_units() -> None:
    units = draw(3, 500, shown=0.6, held_out=0.5)
    baseline = baselines(units)
    gain = np.array([0.1, 0.0, -0.2])
    growth = place_bets(units, baseline).growth(np.repeat(gain, 500), on_more=True)
    growth = growth.reshape(len(WEIGHTS), 3, 500).sum(axis=2)
    expected = np.log((WEIGHTS[:, None] * np.exp(growth)).sum(axis=0))
    assert log_capital(count_cells(units, baseline), gain, on_more=True) == pytest.approx(expected)


def test_the_ends_of_an_interval_are_just_refuted() -> None:
    units = draw(20, 800, shown=0.6, held_out=0.5)
    cells = count_cells(units, baselines(units))
    low, high = bounds(cells, 0.05)
    assert (low < high).all()
    for ends, on_more in ((low, True), (high, False)):
        assert log_capital(cells, ends, on_more=on_more) == pytest.approx(math.log(40), abs=0.02)


def test_nothing_is_refuted_by_a_few_units() -> None:
    units = draw(1, 5, shown=1.0, held_out=0.0)
    low, high = bounds(count_cells(units, baselines(units)), 0.05)
    assert (low[0], high[0]) == (-1, 1)


@pytest.mark.parametrize(("shown", "held_out"), [(0.5, 0.5), (0.15, 0.1), (0.85, 0.9)])
def test_the_truth_is_refuted_at_any_time_in_at_most_1_of_20_trials(shown: float, held_out: float) -> None:
    trials, units = 200, 1_500
    drawn = draw(trials, units, shown=shown, held_out=held_out)
    bets = place_bets(drawn, baselines(drawn))
    missed = np.zeros(trials, np.bool_)
    gain = np.full(trials * units, shown - held_out)
    for on_more in (True, False):
        growth = bets.growth(gain, on_more=on_more).reshape(len(WEIGHTS), trials, units)
        capital = np.logaddexp.reduce(np.cumsum(growth, axis=2) + np.log(WEIGHTS)[:, None, None])
        missed |= (capital >= math.log(40)).any(axis=1)
    assert missed.mean() <= 0.05


@pytest.mark.parametrize(("rate", "p"), [(0.5, 0.2), (0.1, 0.5), (0.9, 0.5), (0.9, 0.05)])
def test_an_interval_is_not_much_wider_than_one_for_a_single_look(rate: float, p: float) -> None:
    units = draw(50, 1_000, shown=rate, held_out=rate, p=p)
    low, high = bounds(count_cells(units, baselines(units)), 0.05)
    fixed = 2 * 1.96 * math.sqrt(rate * (1 - rate) / (p * (1 - p)) / 1_000)
    assert np.mean(high - low) <= 1.6 * fixed


def test_strata_that_predict_make_an_interval_narrower_and_others_do_not_widen_it() -> None:
    rng = np.random.default_rng(3)
    n = 4_000
    held_out, p = rng.random(n) < 0.2, np.full(n, 0.2)
    strata = rng.integers(0, 2, n)
    good = rng.random(n) < np.where(strata == 1, 0.95, 0.05)
    units = Units(np.zeros(n, np.int64), held_out, p, good)

    def width(strata: np.ndarray | None) -> float:
        low, high = bounds(count_cells(units, baselines(units, strata)), 0.05)
        return float(high[0] - low[0])

    assert width(strata) < 0.6 * width(None)
    assert width(rng.integers(0, 40, n)) <= 1.02 * width(None)
