"""Decide which tips help, which harm, and which make no difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kaizen.sync.proof.values import ALL_TIPS, Estimate, OutcomeKind, Trial, Verdict

MIN_UNITS_A_SIDE = 20
"""No verdict is made with fewer units shown or held out, whatever the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRules:
    """How sure verdicts are: `alpha` is the share of wrong ones; gains within `delta` are no difference."""

    alpha: float = 0.05
    delta: float = 0.05


def main_estimates(trial: Trial) -> list[Estimate]:
    """Return the estimates that a verdict goes by, as far as there are enough units on both sides.

    They are the tip's signature and success; where nobody says how runs ended, that no call was refused.
    """
    enough = {
        kind: estimate
        for kind, estimate in trial.estimates.items()
        if min(estimate.shown, estimate.held_out) >= MIN_UNITS_A_SIDE
    }
    kinds: tuple[OutcomeKind, ...] = ("signature", "success" if "success" in enough else "no_refused_call")
    return [enough[kind] for kind in kinds if kind in enough]


def verdicts(trials: Sequence[Trial], rules: VerdictRules) -> list[Verdict]:
    """Return the verdict on each trial.

    Half of `alpha` is for each side. A tip that harms is found by its own evidence, since waiting would cost
    runs. A tip that helps is found among all of them by e-BH (Wang and Ramdas, "False discovery rate control
    with e-values", 2022): of those said to help at most that share do not, however many tips there are and
    however they are related.
    """
    mains = [main_estimates(trial) for trial in trials]
    evidence = [
        estimate.helps_evidence
        for trial, estimates in zip(trials, mains, strict=True)
        for estimate in estimates
        if trial.tip_id != ALL_TIPS
    ]
    needed = needed_evidence(evidence, rules.alpha / 2)
    return [
        _verdict(estimates, needed, rules)
        if estimates
        else Verdict(name="open", least_units=_least_units(trial))
        for trial, estimates in zip(trials, mains, strict=True)
    ]


def needed_evidence(evidence: Sequence[float], alpha: float) -> float:
    """Return the logarithm of the least e-value that e-BH takes: the k greatest of K reach K / (alpha k)."""
    greatest = sorted(evidence, reverse=True)
    bars = [math.log(len(evidence) / (alpha * k)) for k in range(1, len(evidence) + 1)]
    reached = (bar for value, bar in zip(greatest, bars, strict=True) if value >= bar)
    return min(reached, default=math.inf)


def _verdict(mains: Sequence[Estimate], needed: float, rules: VerdictRules) -> Verdict:
    harmed = max(mains, key=lambda estimate: estimate.harms_evidence)
    if harmed.harms_evidence >= math.log(2 * len(mains) / rules.alpha):
        return Verdict(name="harms", because=harmed.outcome)
    helped = max(mains, key=lambda estimate: estimate.helps_evidence)
    is_harmless = all(estimate.high >= 0 for estimate in mains)
    if helped.helps_evidence >= needed and is_harmless:
        return Verdict(name="helps", because=helped.outcome)
    widest = max(mains, key=lambda estimate: max(-estimate.low, estimate.high))
    if max(-widest.low, widest.high) <= rules.delta:
        return Verdict(name="no difference", because=widest.outcome)
    return Verdict(name="open", more_units=_more_units(mains, rules.delta))


def _least_units(trial: Trial) -> int:
    """Return about how many more units it takes until there are enough on both sides, if shares stay."""
    both = [(trial.shown, trial.held_out)]
    known = [(estimate.shown, estimate.held_out) for estimate in trial.estimates.values()]
    sides = max(known or both, key=min)
    shares = ((count + 1) / (trial.chosen + 2) for count in sides)
    return max(
        math.ceil((MIN_UNITS_A_SIDE - count) / share) for count, share in zip(sides, shares, strict=True)
    )


def _more_units(mains: Sequence[Estimate], delta: float) -> int:
    """Return about how many more units it takes if rates stay: intervals narrow with their root."""
    to_differ = min(_units_until(estimate, abs(estimate.gain)) for estimate in mains)
    to_be_alike = max(_units_until(estimate, delta - abs(estimate.gain)) for estimate in mains)
    more = min(to_differ, to_be_alike)
    return math.ceil(max(1, more))


def _units_until(estimate: Estimate, radius: float) -> float:
    if radius <= 0:
        return math.inf
    return estimate.units * (((estimate.high - estimate.low) / 2 / radius) ** 2 - 1)
