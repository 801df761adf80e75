"""Say in words what an experiment shows, and why one cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def problems(trials: Sequence[Trial], *, units: int, traces: int, unrecorded: int = 0) -> Iterator[str]:
    """Yield why nothing, or nothing true, can come of the experiment.

    `traces` are those of its units; `unrecorded` is the number of those that were given tips and lack which.
    """
    if unrecorded > _MOST_UNRECORDED * (traces + unrecorded):
        yield (
            f"traces that hold tips, and whose spans do not say which: {unrecorded}; they prove nothing: set "
            "KAIZEN_AUTO_ENABLED to true, or make the calls inside `with recalled.applied()`"
        )
    if not units:
        yield "no run says which tips it was given: set KAIZEN_RECALL_ENABLED and KAIZEN_AUTO_ENABLED to true"
        return
    if not _is_experiment(trials):
        yield "no tip is held out: without KAIZEN_RECALL_HOLDOUT above 0 nothing can be proven"
    elif any(trial.held_out for trial in trials) and not any(trial.estimates for trial in trials):
        yield "no outcome is known: annotate runs, or let tips have signatures"
    if traces > _FEW_TRACES_A_UNIT * units:
        yield f"{traces} traces are only {units} units: a session id that never changes is one unit"
    for trial in trials:
        if abs(trial.imbalance) > _MOST_IMBALANCE:
            how = "more" if trial.imbalance > 0 else "less"
            yield (
                f"tip {trial.tip_id} was held out {how} often than its probability says ({trial.held_out} of "
                f"{trial.chosen}): its numbers cannot be trusted"
            )
