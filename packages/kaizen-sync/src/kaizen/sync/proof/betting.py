"""Bet on gains: exact e-values, and intervals that hold however often they are looked at.

A unit is held out (A = 1) with a known probability p, and its outcome Y is 1 (good) or 0. Let m be the share
of good units that is expected before A and Y are known. Were the gain from showing the tip t, then m + p t
would be expected of a unit that is shown it, and m - (1 - p) t of one that is held out. The score

    psi(t) = (Y - m - p t) / (1 - p) if A = 0,  -(Y - m + (1 - p) t) / p if A = 1

has the gain minus t as its mean, whatever m is. So the capital of somebody who bets on more than t,

    K(t) = sum over c of w(c) * product over units of (1 + c / sqrt(v) * psi(t))

is a nonnegative martingale that starts at 1 if the gain is t, and ever reaches 2 / alpha with a probability
of at most alpha / 2 (Ville's inequality). The interval holds every t that neither bets on more nor bets on
less have refuted. Here v = m (1 - m) / (p (1 - p)) is about the variance of psi(0), and the sum is a mixture
over the gains that tips may have, each c of its standard deviations. At t = 0, with the c that is true, a
factor is the likelihood ratio between "the tip has this gain" and "A and Y are independent": no other bet
grows faster.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024), sections 4
and 5, for capital and intervals; Robins, Rotnitzky and Zhao (1994) for the augmented inverse probability
score; Turner, Ly and Grunwald, "Generic e-variables for exact sequential k-sample tests" (2024), for tests by
likelihood ratios. The gain is taken to be the same for all units; if it changes, the interval is about a
weighted mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SIZES: Floats = np.array([0.03, 0.06, 0.1, 0.2])
# Most on the gains that a few hundred to a few thousand units can show.
WEIGHTS: Floats = np.array([0.12, 0.22, 0.31, 0.35])
_LOG_WEIGHTS = np.log(WEIGHTS)[:, None]

# A bet may lose at most this share of the capital, at any t up to the most that an interval may begin with.
_MOST_LOST = 0.9
MOST_REFUTED = 0.5
# How many units an arm must have before its own mean counts for half.
_PRIOR_UNITS = 20
# Baselines are rounded, so that units fall into few cells.
_STEPS = 20
_HALVINGS = 16
# Counting so many takes less time and memory than sorting.
_MOST_KEYS = 4_000_000


class Units(NamedTuple):
    """One outcome of units, those of a trial side by side and in the order in which they began."""

    trial: Ints
    held_out: Bools
    p: Floats
    good: Bools

    def where(self, chosen: Bools | Ints) -> Units:
        return Units(self.trial[chosen], self.held_out[chosen], self.p[chosen], self.good[chosen])


class Bets(NamedTuple):
    """psi(t) is `score - slope * t`; bets on more and on less have a row for each of `SIZES`."""

    score: Floats
    slope: Floats
    more: Floats
    less: Floats

    def growth(self, gain: Floats, *, on_more: bool) -> Floats:
        """Return by how much the logarithm of the capital grows with each unit, betting against its gain."""
        bets = self.more if on_more else -self.less
        return np.asarray(np.log1p(bets * (self.score - self.slope * gain)))


class Cells(NamedTuple):
    """Units counted by all that the capital depends on; `first` is where the cells of each trial begin."""

    trial: Ints
    first: Ints
    units: Floats
    bets: Bets


def baselines(units: Units, strata: Ints | None = None) -> Floats:
    """Return the m of each unit, from the units of its trial before it alone.

    With `strata` it is that of the stratum, as long as that has predicted the outcomes of the trial better.
    """
    plain = _baselines(units, units.trial)
    if strata is not None:
        order = np.lexsort((np.arange(len(strata)), strata, units.trial))
        group = units.trial * (int(strata.max(initial=0)) + 1) + strata
        inner = np.empty_like(plain)
        inner[order] = _baselines(units.where(order), group[order])
        first = _first(units.trial)
        saved = (units.good - plain) ** 2 - (units.good - inner) ** 2
        plain = np.where(_before(saved, first) > 0, inner, plain)
    steps = np.clip(np.rint(plain * _STEPS), 1, _STEPS - 1)
    return np.asarray(steps / _STEPS, dtype=np.float64)


def _baselines(units: Units, group: Ints) -> Floats:
    first = _first(group)
    held, good = units.held_out.astype(np.float64), units.good.astype(np.float64)
    n, n_held = np.arange(len(group)) - first, _before(held, first)
    all_good, good_held = _before(good, first), _before(good * held, first)
    mean = (all_good + 1) / (n + 2)
    mean_held = (good_held + _PRIOR_UNITS * mean) / (n_held + _PRIOR_UNITS)
    mean_shown = (all_good - good_held + _PRIOR_UNITS * mean) / (n - n_held + _PRIOR_UNITS)
    return np.asarray((1 - units.p) * mean_shown + units.p * mean_held, dtype=np.float64)


def _first(group: Ints) -> Ints:
    """Return for each row where the run of equal values that it is in begins."""
    begins = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    return np.repeat(begins, np.diff(begins, append=len(group)))


def _before(values: Floats, first: Ints) -> Floats:
    """Return the sum of the values from the first of its run up to, and without, each row."""
    total = np.cumsum(values) - values
    return np.asarray(total - total[first], dtype=np.float64)


def place_bets(units: Units, baseline: Floats) -> Bets:
    """Return how to bet on each unit, before its outcome is known."""
    m, p = baseline, units.p
    score = (units.good - m) * np.where(units.held_out, -1 / p, 1 / (1 - p))
    slope = np.where(units.held_out, (1 - p) / p, p / (1 - p))
    size = SIZES[:, None] * np.sqrt(p * (1 - p) / (m * (1 - m)))
    shown, held = MOST_REFUTED * p, MOST_REFUTED * (1 - p)
    lowest = np.maximum((1 - m + held) / p, (m + shown) / (1 - p))
    highest = np.maximum((m + held) / p, (1 - m + shown) / (1 - p))
    more, less = (np.minimum(size, _MOST_LOST / worst) for worst in (lowest, highest))
    return Bets(score, slope, more, less)


def count_cells(units: Units, baseline: Floats) -> Cells:
    """Count units that are alike: order matters for their baselines and no further."""
    levels = np.unique(units.p)
    step = np.rint(baseline * _STEPS).astype(np.int64)
    kind = (np.searchsorted(levels, units.p) * (_STEPS + 1) + step) * 4 + units.held_out * 2 + units.good
    kinds = len(levels) * (_STEPS + 1) * 4
    key, count = _counted(units.trial * kinds + kind)
    trial, kind = key // kinds, key % kinds
    level, step = kind // 4 // (_STEPS + 1), kind // 4 % (_STEPS + 1)
    alike = Units(trial, kind % 4 >= 2, levels[level], kind % 2 == 1)
    first = np.flatnonzero(np.diff(trial, prepend=-1))
    return Cells(trial[first], first, count.astype(np.float64), place_bets(alike, step / _STEPS))


def _counted(key: Ints) -> tuple[Ints, Ints]:
    """Return the different keys, sorted, and how often each is there."""
    if key.max(initial=0) > _MOST_KEYS:
        return np.unique(key, return_counts=True)
    count = np.bincount(key)
    found = np.flatnonzero(count)
    return found, count[found]


def log_capital(cells: Cells, gain: Floats, *, on_more: bool) -> Floats:
    """Return the logarithm of each trial's capital, betting that its gain is more, or less, than this."""
    gains = np.repeat(gain, np.diff(cells.first, append=len(cells.units)))
    growth = cells.units * cells.bets.growth(gains, on_more=on_more)
    return np.asarray(np.logaddexp.reduce(np.add.reduceat(growth, cells.first, axis=1) + _LOG_WEIGHTS))


def bounds(cells: Cells, alpha: float) -> tuple[Floats, Floats]:
    """Return the interval of each trial: the gains that no bet has refuted at `alpha`, all looks together."""
    refuted = np.log(2 / alpha)
    found = []
    for on_more in (True, False):
        # On the side of `outer` lies what is refuted, if anything is.
        outer = np.full(len(cells.first), -1.0 if on_more else 1.0)
        inner = -outer * MOST_REFUTED
        for _ in range(_HALVINGS):
            middle = (outer + inner) / 2
            is_refuted = log_capital(cells, middle, on_more=on_more) >= refuted
            outer, inner = np.where(is_refuted, middle, outer), np.where(is_refuted, inner, middle)
        found.append(outer)
    return found[0], found[1]
