"""Collect units and estimate every trial from them. The order in which they are added changes nothing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kaizen.sync.proof.averages import averages, rates
from kaizen.sync.proof.betting import (
    Bools,
    Floats,
    Ints,
    Units,
    baselines,
    bounds,
    count_cells,
    log_capital,
)
from kaizen.sync.proof.late import count_settled
from kaizen.sync.proof.values import (
    AMOUNT_KINDS,
    AmountEstimate,
    AmountKind,
    Estimate,
    OutcomeKind,
    Trial,
    Unit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
_UNKNOWN = -1
_amounts_of = attrgetter(*AMOUNT_KINDS)


class _Rows(NamedTuple):
    """One row for each assignment, those of a trial side by side, in the order in which their units began."""

    unit: Ints
    trial: Ints
    held_out: Bools
    p: Floats

    def where(self, chosen: Bools | Ints) -> _Rows:
        return _Rows(self.unit[chosen], self.trial[chosen], self.held_out[chosen], self.p[chosen])


class Experiment:
    """Units in columns, with about 30 bytes for each assignment.

    Add each unit once. An assignment with a probability of 0 or 1 was not drawn and is left out.
    """

    def __init__(self) -> None:
        self._trials: dict[tuple[str, str], int] = {}
        self._unit, self._trial, self._p = array("q"), array("q"), array("d")
        self._held_out, self._recurred = array("b"), array("b")
        self._began: list[tuple[float, str]] = []
        self._success = array("b")
        self._amounts = array("d")
        self._strata: dict[str, int] = {}
        self._stratum = array("q")

    def add(self, unit: Unit) -> None:
        trials, number = self._trials, len(self._began)
        for tip_id, revision, p, is_held_out in unit.assignments:
            if 0 < p < 1:
                self._unit.append(number)
                self._trial.append(trials.setdefault((tip_id, revision), len(trials)))
                self._p.append(p)
                self._held_out.append(is_held_out)
                self._recurred.append(unit.recurred.get(tip_id, _UNKNOWN))
        if not self._unit or self._unit[-1] != number:
            return
        self._began.append((unit.began_at.timestamp(), unit.id))
        self._success.append(_UNKNOWN if unit.success is None else unit.success)
        amounts = _amounts_of(unit)
        self._amounts.extend(math.nan if amount is None else amount for amount in amounts)
        self._stratum.append(self._strata.setdefault(unit.stratum, len(self._strata)))

    def trials(self, *, is_adjusted: bool = False, alpha: float = ALPHA) -> list[Trial]:
        """Estimate every trial, sorted by tip and revision; adjusted ones take the strata into account."""
        if not self._trials:
            return []
        by_time = np.array(sorted(range(len(self._began)), key=self._began.__getitem__))
        rows, recurred = self._sorted(by_time)
        strata = _array(self._stratum)[rows.unit] if is_adjusted else None
        amount_of = dict(
            zip(AMOUNT_KINDS, _array(self._amounts).reshape(-1, len(AMOUNT_KINDS)).T, strict=True)
        )
        refused = amount_of["refused_calls"][rows.unit]
        good: dict[OutcomeKind, NDArray[Any]] = {
            "signature": np.where(recurred == _UNKNOWN, _UNKNOWN, recurred == 0),
            "success": self._settled_success(by_time)[rows.unit],
            "no_refused_call": np.where(np.isnan(refused), _UNKNOWN, refused == 0),
        }
        estimates = {kind: dict(_estimates(kind, rows, known, strata, alpha)) for kind, known in good.items()}
        amounts = {
            kind: dict(_amount_estimates(kind, rows, amount[rows.unit], alpha))
            for kind, amount in amount_of.items()
        }
        shown, held_out = _counts(rows)
        imbalance = _imbalance(rows)
        return [
            Trial(
                tip_id=tip_id,
                revision=revision,
                shown=int(shown[n]),
                held_out=int(held_out[n]),
                imbalance=float(imbalance[n]),
                estimates={kind: found[n] for kind, found in estimates.items() if n in found},
                amounts={kind: found[n] for kind, found in amounts.items() if n in found},
            )
            for (tip_id, revision), n in sorted(self._trials.items())
        ]

    def _settled_success(self, by_time: Ints) -> NDArray[np.int8]:
        """Return how each unit ended, except the youngest while outcomes of such are still to come."""
        success = _array(self._success)
        began = np.array([began for began, _ in self._began])
        settled = count_settled(began[by_time], success[by_time] != _UNKNOWN)
        success[by_time[settled:]] = _UNKNOWN
        return success

    def _sorted(self, by_time: Ints) -> tuple[_Rows, NDArray[np.int8]]:
        """Return the rows by trial, then by when their unit began and its id; and what recurred in each."""
        rank = np.empty(len(by_time), np.int64)
        rank[by_time] = np.arange(len(by_time))
        unit, trial = _array(self._unit), _array(self._trial)
        order = np.argsort(trial * len(by_time) + rank[unit])
        rows = _Rows(unit, trial, _array(self._held_out) == 1, _array(self._p))
        return rows.where(order), _array(self._recurred)[order]


def trial_growth(units: Iterable[Unit], tip_id: str, revision: str, *, points: int) -> list[Trial]:
    """Return a trial as it was after each of so many equal parts of its units."""
    own = [
        unit._replace(assignments=(assignment,))
        for unit in units
        for assignment in unit.assignments
        if (assignment.tip_id, assignment.revision) == (tip_id, revision)
    ]
    own.sort(key=lambda unit: (unit.began_at, unit.id))
    experiment, grown = Experiment(), []
    ends = {len(own) * point // points for point in range(1, points + 1)}
    for number, unit in enumerate(own, 1):
        experiment.add(unit)
        if number in ends:
            grown += experiment.trials()
    return grown


def _array(values: array[Any]) -> NDArray[Any]:
    # A copy: while there is a view, no unit can be added.
    return np.array(values)


def _counts(rows: _Rows) -> tuple[Ints, Ints]:
    """Return for each trial how many of its units were shown the tip, and how many were held out."""
    held_out = np.bincount(rows.trial[rows.held_out], minlength=int(rows.trial[-1]) + 1)
    return np.bincount(rows.trial) - held_out, held_out


def _imbalance(rows: _Rows) -> Floats:
    """Return for each trial by how many standard deviations too many units were held out."""
    excess = np.bincount(rows.trial, rows.held_out - rows.p)
    return np.asarray(excess / np.sqrt(np.bincount(rows.trial, rows.p * (1 - rows.p))))


def _estimates(
    kind: OutcomeKind, rows: _Rows, good: NDArray[Any], strata: Ints | None, alpha: float
) -> Iterator[tuple[int, Estimate]]:
    known = _in_both_arms(rows, good != _UNKNOWN)
    if not known.any():
        return
    rows = rows.where(known)
    units = Units(rows.trial, rows.held_out, rows.p, good[known] == 1)
    baseline = baselines(units, None if strata is None else strata[known])
    cells = count_cells(units, baseline)
    low, high = bounds(cells, alpha)
    no_gain = np.zeros(len(cells.first))
    helps = log_capital(cells, no_gain, on_more=True)
    harms = log_capital(cells, no_gain, on_more=False)
    shown, held_out = _counts(rows)
    weight = 1 / (baseline * (1 - baseline))
    shown_rate = rates(units.trial, ~units.held_out, weight * units.p, units.good)
    held_out_rate = rates(units.trial, units.held_out, weight * (1 - units.p), units.good)
    for n, trial in enumerate(cells.trial.tolist()):
        yield (
            trial,
            Estimate(
                outcome=kind,
                shown=int(shown[trial]),
                held_out=int(held_out[trial]),
                rate_shown=float(shown_rate[trial]),
                rate_held_out=float(held_out_rate[trial]),
                low=float(low[n]),
                high=float(high[n]),
                helps_evidence=float(helps[n]),
                harms_evidence=float(harms[n]),
            ),
        )


def _amount_estimates(
    kind: AmountKind, rows: _Rows, amount: Floats, alpha: float
) -> Iterator[tuple[int, AmountEstimate]]:
    known = _in_both_arms(rows, ~np.isnan(amount))
    if not known.any():
        return
    rows = rows.where(known)
    found = averages(rows.trial, rows.held_out, rows.p, amount[known], alpha=alpha)
    shown, held_out = _counts(rows)
    for trial in np.unique(rows.trial).tolist():
        yield (
            trial,
            AmountEstimate(
                amount=kind,
                shown=int(shown[trial]),
                held_out=int(held_out[trial]),
                mean_shown=float(found.shown[trial]),
                mean_held_out=float(found.held_out[trial]),
                radius=float(found.radius[trial]),
            ),
        )


def _in_both_arms(rows: _Rows, known: Bools) -> Bools:
    """Return which of the known rows are of trials that have some in both arms."""
    trials = int(rows.trial[-1]) + 1
    held_out = np.bincount(rows.trial, known & rows.held_out, trials)
    shown = np.bincount(rows.trial, known & ~rows.held_out, trials)
    return np.asarray(known & ((held_out > 0) & (shown > 0))[rows.trial])
