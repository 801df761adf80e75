"""Compare average amounts, such as tokens: intervals for numbers without bounds.

The score is that of `betting`, weighted by p (1 - p), under which its variance does not depend on p. Its mean
over n units with standard deviation s is within

    s sqrt(2 (n r + 1) / (n^2 r) * log(sqrt(n r + 1) / alpha))

of the truth at all n at once, in the limit of many: the asymptotic confidence sequence of Waudby-Smith,
Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(2021). Here r makes it narrowest at n = 1,000. It is too narrow for the first units, so that no verdict is
made by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from kaizen.sync.proof.betting import Bools, Floats, Ints

_NARROWEST_AT = 1_000


class Averages(NamedTuple):
    """For each trial the mean in both arms, and how far their difference may be from the truth."""

    shown: Floats
    held_out: Floats
    radius: Floats


def rates(trial: Ints, is_in_arm: Bools, weight: Floats, value: Floats | Bools) -> Floats:
    """Return the weighted mean of each trial in one arm; NaN if nothing of it is there."""
    weights = np.where(is_in_arm, weight, 0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(trial, weights * value) / np.bincount(trial, weights))


def averages(trial: Ints, held_out: Bools, p: Floats, value: Floats, *, alpha: float) -> Averages:
    """Return what each trial says about an amount; in an arm, units weigh by how seldom they are in it."""
    shown, without = rates(trial, ~held_out, p, value), rates(trial, held_out, 1 - p, value)
    everywhere = np.ones_like(held_out)
    baseline = rates(trial, everywhere, np.ones_like(p), value)[trial]
    score = (value - baseline) * np.where(held_out, p - 1, p)
    error = score - (shown - without)[trial] * p * (1 - p)
    spread = np.sqrt(rates(trial, everywhere, np.ones_like(p), error**2))
    n = np.maximum(1, np.bincount(trial))
    r = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / _NARROWEST_AT
    radius = spread * np.sqrt(2 * (n * r + 1) / (n**2 * r) * np.log(np.sqrt(n * r + 1) / alpha))
    return Averages(shown, without, radius / rates(trial, everywhere, np.ones_like(p), p * (1 - p)))
