"""Collect units and estimate every trial from them. The order in which they are added changes nothing."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
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
from kaizen.sync.proof.values import (
    AMOUNT_KINDS,
    OUTCOME_KINDS,
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


class _Rows(NamedTuple):
    """One row for each assignment, those of a trial side by side, in the order in which their units began."""

    unit: Ints
    trial: Ints
    held_out: Bools
    p: Floats

    def where(self, chosen: Bools) -> _Rows:
        return _Rows(*(column[chosen] for column in self))


class Experiment:
    """Units in columns, with about 30 bytes for each assignment.

    Add each unit once. An assignment with a probability of 0 or 1 was not drawn and is left out.
    """

    def __init__(self) -> None:
        self._units: list[tuple[float, str]] = []
        self._strata: dict[str, int] = {}
        self._stratum = array("q")
        self._amounts = {kind: array("d") for kind in AMOUNT_KINDS}
        self._trials: dict[tuple[str, str], int] = {}
        self._rows = array("q"), array("q"), array("b"), array("d")
        self._good = {kind: array("b") for kind in OUTCOME_KINDS}

    def add(self, unit: Unit) -> None:
        drawn = [assignment for assignment in unit.assignments if 0 < assignment.p < 1]
        if not drawn:
            return
        for assignment in drawn:
            trial = self._trials.setdefault((assignment.tip_id, assignment.revision), len(self._trials))
            row = len(self._units), trial, assignment.is_held_out, assignment.p
            for column, value in zip(self._rows, row, strict=True):
                column.append(value)  # type: ignore[arg-type]  # each column has its own type
            for kind, good in _good(unit, assignment.tip_id):
                self._good[kind].append(_UNKNOWN if good is None else good)
        self._units.append((unit.began_at.timestamp(), unit.id))
        self._stratum.append(self._strata.setdefault(unit.stratum, len(self._strata)))
        for kind in AMOUNT_KINDS:
            amount = getattr(unit, kind)
            self._amounts[kind].append(float("nan") if amount is None else amount)

    def trials(self, *, is_adjusted: bool = False, alpha: float = ALPHA) -> list[Trial]:
        """Estimate every trial, sorted by tip and revision; adjusted ones take the strata into account."""
        if not self._trials:
            return []
        rows, order = self._sorted()
        strata = _array(self._stratum)[rows.unit] if is_adjusted else None
        estimates = {
            kind: dict(_estimates(kind, rows, _array(good)[order], strata, alpha))
            for kind, good in self._good.items()
        }
        amounts = {
            kind: dict(_amount_estimates(kind, rows, _array(amount)[rows.unit], alpha))
            for kind, amount in self._amounts.items()
        }
        chosen, held_out, imbalance = _counts(rows)
        return [
            Trial(
                tip_id=tip_id,
                revision=revision,
                shown=int(chosen[n] - held_out[n]),
                held_out=int(held_out[n]),
                imbalance=float(imbalance[n]),
                estimates={kind: found[n] for kind, found in estimates.items() if n in found},
                amounts={kind: found[n] for kind, found in amounts.items() if n in found},
            )
            for (tip_id, revision), n in sorted(self._trials.items())
        ]

    def _sorted(self) -> tuple[_Rows, Ints]:
        """Return the rows sorted by trial, then by when their unit began, then by its id."""
        began = sorted(range(len(self._units)), key=self._units.__getitem__)
        rank = np.empty(len(began), np.int64)
        rank[began] = np.arange(len(began))
        unit, trial, held_out, p = map(_array, self._rows)
        order = np.argsort(trial * len(began) + rank[unit])
        return _Rows(unit[order], trial[order], held_out[order] == 1, p[order]), order


def _good(unit: Unit, tip_id: str) -> Iterator[tuple[OutcomeKind, bool | None]]:
    recurred, refused = unit.recurred.get(tip_id), unit.refused_calls
    yield "signature", None if recurred is None else not recurred
    yield "success", unit.success
    yield "no_refused_call", None if refused is None else refused == 0


def _array(values: array[Any]) -> NDArray[Any]:
    # Not a copy: no units can be added as long as it is there.
    return np.frombuffer(values, values.typecode)


def _counts(rows: _Rows) -> tuple[Floats, Floats, Floats]:
    """Return for each trial its units, those held out, and by how many deviations these are too many."""
    held_out = np.bincount(rows.trial, rows.held_out)
    excess = np.bincount(rows.trial, rows.held_out - rows.p)
    spread = np.sqrt(np.bincount(rows.trial, rows.p * (1 - rows.p)))
    return np.bincount(rows.trial).astype(float), held_out, excess / spread


def _estimates(
    kind: OutcomeKind, rows: _Rows, good: NDArray[np.int8], strata: Ints | None, alpha: float
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
    chosen, held_out, _ = _counts(rows)
    weight = 1 / (baseline * (1 - baseline))
    shown_rate = rates(units.trial, ~units.held_out, weight * units.p, units.good)
    held_out_rate = rates(units.trial, units.held_out, weight * (1 - units.p), units.good)
    for n, trial in enumerate(cells.trial.tolist()):
        yield (
            trial,
            Estimate(
                outcome=kind,
                shown=int(chosen[trial] - held_out[trial]),
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
    chosen, held_out, _ = _counts(rows)
    for trial in np.unique(rows.trial).tolist():
        yield (
            trial,
            AmountEstimate(
                amount=kind,
                shown=int(chosen[trial] - held_out[trial]),
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
