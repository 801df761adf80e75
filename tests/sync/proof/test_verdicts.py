"""Verdicts, and what is said of an experiment."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kaizen.sync.proof.checks import headline, problems
from kaizen.sync.proof.values import ALL_TIPS, Estimate, OutcomeKind, Trial
from kaizen.sync.proof.verdicts import VerdictRules, main_estimates, needed_evidence, verdicts

RULES = VerdictRules()
SURE = math.log(80) + 0.1


def estimate(
    outcome: OutcomeKind = "success",
    *,
    low: float = -0.1,
    high: float = 0.1,
    evidence: float | None = None,
    units: int = 500,
) -> Estimate:
    """An estimate in the middle of its interval; its evidence is that of the interval unless it is given."""
    middle = (low + high) / 2
    sure = SURE if evidence is None else evidence
    return Estimate(
        outcome=outcome,
        shown=units - units // 5,
        held_out=units // 5,
        rate_shown=0.5 + middle,
        rate_held_out=0.5,
        low=low,
        high=high,
        helps_evidence=sure if low > 0 else 0.0,
        harms_evidence=sure if high < 0 else 0.0,
    )


def trial(*estimates: Estimate, tip_id: str = "t", imbalance: float = 0.0) -> Trial:
    units = max((one.units for one in estimates), default=0)
    return Trial(
        tip_id=tip_id,
        revision="1",
        shown=units - units // 5,
        held_out=units // 5,
        imbalance=imbalance,
        estimates={one.outcome: one for one in estimates},
        amounts={},
    )


def verdict(*estimates: Estimate) -> str:
    return verdicts([trial(*estimates)], RULES)[0].name


def test_an_interval_above_0_helps_unless_another_main_outcome_is_below() -> None:
    better, worse = estimate("signature", low=0.05, high=0.3), estimate(low=-0.2, high=-0.01, evidence=3.8)
    assert verdict(better) == "helps"
    assert verdict(better, estimate()) == "helps"
    # Not sure enough for a harm by one of two outcomes, and yet nothing to call helpful.
    assert verdict(better, worse) == "open"


def test_an_interval_below_0_harms() -> None:
    found = verdicts([trial(estimate(low=-0.3, high=-0.05))], RULES)[0]
    assert (found.name, found.because) == ("harms", "success")
    two = (
        estimate("signature", low=0.05, high=0.3),
        estimate(low=-0.3, high=-0.05, evidence=math.log(80) + 0.1),
    )
    assert verdict(*two) == "harms"


def test_intervals_inside_delta_are_no_difference() -> None:
    assert (
        verdict(estimate(low=-0.04, high=0.03), estimate("signature", low=-0.02, high=0.05))
        == "no difference"
    )
    assert verdict(estimate(low=-0.04, high=0.03), estimate("signature", low=-0.06, high=0.05)) == "open"
    # Better by so little that it does not matter is still better.
    assert verdict(estimate(low=0.01, high=0.03)) == "helps"


def test_no_verdict_below_20_units_a_side() -> None:
    few = estimate(low=0.2, high=0.9, units=95, evidence=50)
    assert few.held_out == 19
    assert verdicts([trial(few)], RULES)[0].name == "open"
    assert main_estimates(trial(few)) == []


def test_a_refused_call_counts_where_nobody_says_how_runs_ended() -> None:
    clean = estimate("no_refused_call", low=0.05, high=0.3)
    assert verdict(clean) == "helps"
    assert verdict(clean, estimate()) == "open"


def test_an_open_verdict_says_how_many_more_units_it_takes() -> None:
    # An interval of +-10 points around +5 takes four times the units to leave 0 out.
    found = verdicts([trial(estimate(low=-0.05, high=0.15, units=500))], RULES)[0]
    assert (found.name, found.more_units) == ("open", 1_500)
    alike = verdicts([trial(estimate(low=-0.1, high=0.1, units=500))], RULES)[0]
    assert alike.more_units == 1_500


def test_before_20_units_a_side_a_verdict_says_when_one_is_possible() -> None:
    few = estimate(low=0.2, high=0.9, units=50)
    assert (few.shown, few.held_out) == (40, 10)
    found = verdicts([trial(few)], RULES)[0]
    # Ten more must be held out, which happens to about one in five.
    assert (found.name, found.more_units, found.least_units) == ("open", None, 48)
    # As many of each as nothing says otherwise.
    assert verdicts([trial()], RULES)[0].least_units == 40
    # Runs without a known outcome are no help.
    unjudged = replace(trial(few), shown=80, held_out=20)
    assert verdicts([unjudged], RULES)[0].least_units == 93
    assert verdicts([trial(estimate(units=100))], RULES)[0].least_units is None


def test_one_of_many_tips_needs_more_evidence_to_be_said_to_help() -> None:
    lucky = trial(estimate(low=0.01, high=0.2))
    idle = [trial(estimate(), tip_id=f"idle-{n}") for n in range(99)]
    assert verdicts([lucky], RULES)[0].name == "helps"
    assert {found.name for found in verdicts([lucky, *idle], RULES)} == {"open"}
    proven = trial(estimate(low=0.1, high=0.2, evidence=math.log(100 / 0.025) + 0.1))
    assert verdicts([proven, *idle], RULES)[0].name == "helps"
    # Harm is found by the tip's own evidence.
    harmful = trial(estimate(low=-0.2, high=-0.01))
    assert verdicts([harmful, *idle], RULES)[0].name == "harms"


def test_e_bh_rejects_as_its_paper_says() -> None:
    assert needed_evidence([], 0.05) == math.inf
    assert needed_evidence([math.log(19)], 0.05) == math.inf
    assert needed_evidence([math.log(21)], 0.05) == pytest.approx(math.log(20))
    # Two of four with e >= 4 / (0.05 * 2) = 40, though neither reaches 80.
    evidence = [math.log(e) for e in (45, 50, 1, 2)]
    assert needed_evidence(evidence, 0.05) == pytest.approx(math.log(40))


def test_the_headline_says_what_is_known() -> None:
    assert "no experiment" in headline([replace(trial(estimate()), held_out=0)], units=100)
    assert "0 of 20 runs without tips" in headline([trial(estimate())], units=500)
    total = trial(
        estimate(low=0.01, high=0.11), estimate("no_refused_call", low=0.09, high=0.19), tip_id=ALL_TIPS
    )
    assert headline([total], units=1_812) == (
        "Kaizen's tips: runs without a refused call +14 points [9, 19], success +6 points [1, 11], 1,812 runs"
    )


def test_a_tip_that_chance_left_in_the_first_runs_is_in_an_experiment() -> None:
    lucky = replace(trial(imbalance=-0.7), shown=2)
    assert "0 of 20 runs without tips so far (2 runs)" in headline([lucky], units=2)
    assert list(problems([lucky], units=2, traces=2)) == []


def test_what_keeps_an_experiment_from_working_is_named() -> None:
    sound = trial(estimate())
    assert list(problems([sound], units=500, traces=600)) == []
    assert "KAIZEN_RECALL_ENABLED" in next(problems([], units=0, traces=0)).advice
    held_out_0 = next(problems([replace(sound, held_out=0)], units=100, traces=100))
    assert "KAIZEN_RECALL_HOLDOUT" in held_out_0.advice
    unjudged = next(problems([replace(sound, estimates={})], units=100, traces=100))
    assert str(unjudged).startswith("no outcome is known: annotate runs")
    assert "10 traces hold tips" in next(problems([sound], units=90, traces=90, unrecorded=10)).detail
    assert list(problems([sound], units=990, traces=990, unrecorded=10)) == []
    assert "are only 3 units" in next(problems([sound], units=3, traces=400)).detail
    lost = next(problems([replace(sound, imbalance=5.0)], units=500, traces=600))
    assert "held out more often" in lost.detail
    assert "new trial" in lost.advice
