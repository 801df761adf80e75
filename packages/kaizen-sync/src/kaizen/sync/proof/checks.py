"""Say in words what an experiment shows, and why one cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kaizen.sync.proof.values import ALL_TIPS, Estimate, Trial
from kaizen.sync.proof.verdicts import MIN_UNITS_A_SIDE

# As many deviations as chance gives about once in 10,000 trials, however often it is looked.
_MOST_IMBALANCE = 4.5
_FEW_TRACES_A_UNIT = 50
_MOST_UNRECORDED = 0.05


def headline(trials: Sequence[Trial], *, units: int) -> str:
    """Return in one sentence what all tips together change, from the units that were given none."""
    total = next((trial for trial in trials if trial.tip_id == ALL_TIPS), None)
    runs = f"{units:,} runs"
    if not _is_experiment(trials):
        return f"Kaizen's tips: no experiment, since no tip is held out ({runs})"
    if total is None or min(total.shown, total.held_out) < MIN_UNITS_A_SIDE:
        without = total.held_out if total else 0
        known = f"{without} of {MIN_UNITS_A_SIDE} runs without tips so far"
        return f"Kaizen's tips together: not known yet, {known} ({runs})"
    words = {"no_refused_call": "runs without a refused call", "success": "success"}
    parts = [
        f"{name} {_points(estimate)}"
        for kind, name in words.items()
        if (estimate := total.estimates.get(kind))  # type: ignore[call-overload]  # kinds of outcomes
    ]
    return f"Kaizen's tips: {', '.join(parts) or 'no outcome is known'}, {runs}"


def _is_experiment(trials: Sequence[Trial]) -> bool:
    """Return whether a tip was held out, or could have been: chance may leave it in each of a few runs."""
    return any(trial.held_out or trial.imbalance for trial in trials)


def _points(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.gain:+.0f} points [{low:.0f}, {high:.0f}]"


class Problem(NamedTuple):
    """Why nothing, or nothing true, can come of an experiment, and what to do about it."""

    detail: str
    advice: str

    def __str__(self) -> str:
        return f"{self.detail}: {self.advice}"


_NO_UNIT = Problem(
    "no run says which tips it was given",
    "where agents run, set KAIZEN_RECALL_ENABLED and KAIZEN_AUTO_ENABLED to true",
)
_NO_HOLDOUT = Problem(
    "no tip is held out, so that nothing can be proven",
    "where agents run, remove KAIZEN_RECALL_HOLDOUT or set it above 0, such as 0.2; to try pinned tips, "
    "`kaizen tips unpin` them",
)
_NO_OUTCOME = Problem(
    "no outcome is known",
    "annotate runs as successes and failures where their traces are, and run `kaizen sync`; or add tips with "
    "a signature",
)


def problems(trials: Sequence[Trial], *, units: int, traces: int, unrecorded: int = 0) -> Iterator[Problem]:
    """Yield what keeps the experiment from working.

    `traces` are those of its units; `unrecorded` is the number of those that were given tips and lack which.
    """
    if unrecorded > _MOST_UNRECORDED * (traces + unrecorded):
        yield Problem(
            f"{unrecorded} traces hold tips, and their spans do not say which, so that they prove nothing",
            "where those agents run, set KAIZEN_AUTO_ENABLED to true, or make the calls inside "
            "`with recalled.applied()`",
        )
    if not units:
        yield _NO_UNIT
        return
    if not _is_experiment(trials):
        yield _NO_HOLDOUT
    elif any(trial.held_out for trial in trials) and not any(trial.estimates for trial in trials):
        yield _NO_OUTCOME
    if traces > _FEW_TRACES_A_UNIT * units:
        yield Problem(
            f"{traces} traces are only {units} units, since a session counts once",
            "give each conversation a session id of its own, or none",
        )
    yield from filter(None, map(_imbalance, trials))


def _imbalance(trial: Trial) -> Problem | None:
    if abs(trial.imbalance) <= _MOST_IMBALANCE:
        return None
    how = "more" if trial.imbalance > 0 else "less"
    return Problem(
        f"tip {trial.tip_id} was held out {how} often than its probability says ({trial.held_out} of "
        f"{trial.chosen}), so that its numbers cannot be trusted",
        "find out why traces of some runs are missing, such as long or failed ones, and mend that; then "
        "reword the tip, which begins a new trial",
    )
