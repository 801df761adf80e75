"""The values of an experiment: what a unit was given, how it went, and what follows from many of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from datetime import datetime

ALL_TIPS = "*"
"""Stands for the tip id in the trial of Kaizen as a whole: a few units are given no tip at all."""

OutcomeKind = Literal["signature", "success", "no_refused_call"]
"""What can be good or bad about a unit: the failed call that a tip prevents did not happen; it succeeded by
its annotations; no call of it was refused. The first and the last need no label."""
OUTCOME_KINDS: tuple[OutcomeKind, ...] = get_args(OutcomeKind)

AmountKind = Literal["refused_calls", "model_calls", "tool_calls", "tokens", "cost_usd", "duration_s"]
"""What a unit used: less is better. No verdict is made by these."""
AMOUNT_KINDS: tuple[AmountKind, ...] = get_args(AmountKind)

VerdictName = Literal["helps", "harms", "no difference", "open"]


class Assignment(NamedTuple):
    """A tip that was chosen for a unit, and whether it was held out, which had the probability `p`, or shown.

    `revision` names the wording and the tools' definitions: another one is another trial.
    """

    tip_id: str
    revision: str
    p: float
    is_held_out: bool


class Unit(NamedTuple):
    """A session or run: when it began, what it was assigned, and how it went; None is what is not known.

    `recurred` says by tip id whether the failed call of the tip's signature happened. `stratum` names units
    that are alike in what is known before they begin, such as their model and month.
    """

    id: str
    began_at: datetime
    assignments: tuple[Assignment, ...]
    recurred: Mapping[str, bool] = MappingProxyType({})
    success: bool | None = None
    refused_calls: int | None = None
    model_calls: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    duration_s: float | None = None
    stratum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What showing a tip changes in one outcome: `gain` is the share of units that it makes good.

    Units of times with other probabilities weigh by how much they say, so that rates are not mere counts. The
    interval from `low` to `high` holds at all times at once. `helps_evidence` and `harms_evidence` are
    natural logarithms of e-values against "it gains nothing" and "it costs nothing".
    """

    outcome: OutcomeKind
    shown: int
    held_out: int
    rate_shown: float
    rate_held_out: float
    low: float
    high: float
    helps_evidence: float
    harms_evidence: float

    @property
    def units(self) -> int:
        return self.shown + self.held_out

    @property
    def gain(self) -> float:
        return self.rate_shown - self.rate_held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountEstimate:
    """What showing a tip changes in an amount per unit, give or take the radius; below 0 is less."""

    amount: AmountKind
    shown: int
    held_out: int
    mean_shown: float
    mean_held_out: float
    radius: float

    @property
    def difference(self) -> float:
        return self.mean_shown - self.mean_held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One wording of a tip in all units that it was chosen for.

    `imbalance` is how many standard deviations more units were held out than the probabilities say.
    """

    tip_id: str
    revision: str
    shown: int
    held_out: int
    imbalance: float
    estimates: Mapping[OutcomeKind, Estimate]
    amounts: Mapping[AmountKind, AmountEstimate]

    @property
    def chosen(self) -> int:
        return self.shown + self.held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of a trial: `because` is the outcome that decided; an open one needs `more_units`.

    Before there are enough units on both sides for any verdict, it needs at least `least_units` more.
    """

    name: VerdictName
    because: OutcomeKind | None = None
    more_units: int | None = None
    least_units: int | None = None
