"""Say in words and numbers what showing a tip changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.serve.pages.plot import Point, effect_plot
from kaizen.serve.pages.words import counted
from kaizen.sync import MIN_UNITS_A_SIDE

if TYPE_CHECKING:
    from markupsafe import Markup

    from kaizen.sync import Estimate, MeasuredTip, Proof

VERDICTS = {
    "helps": "Helps",
    "harms": "Harms",
    "no difference": "Makes no difference",
    "open": "Not known yet",
}
# How runs are told of, and whether it is the good ones that are.
_TOLD = {
    "signature": ("made the mistake that it prevents", False),
    "success": ("succeeded", True),
    "no_refused_call": ("had no refused call", True),
}
_OUTCOMES = {
    "signature": "Did not make this mistake",
    "success": "Succeeded",
    "no_refused_call": "No refused call",
}
_AMOUNTS = {
    "refused_calls": "Refused calls",
    "model_calls": "Model calls",
    "tool_calls": "Tool calls",
    "tokens": "Tokens",
    "cost_usd": "Cost in USD",
    "duration_s": "Seconds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The verdict on a tip in words, and the numbers of the outcome that says most, if there are any."""

    verdict: str
    name: str
    sentence: str
    shown: int
    held_out: int
    has_numbers: bool = False
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """One outcome or amount with the tip and without it, as texts."""

    name: str
    shown: int
    held_out: int
    with_it: str
    without: str
    difference: str


def effect_of(measured: MeasuredTip) -> Effect:
    verdict, trial, main = measured.verdict, measured.trial, measured.main
    name = VERDICTS[verdict.name]
    if main is None:
        sentence = f"{trial.shown:,} runs were shown it, {trial.held_out:,} were not: nothing to compare yet."
        return Effect(
            verdict=verdict.name, name=name, sentence=sentence, shown=trial.shown, held_out=trial.held_out
        )
    sentence = compared(main)
    if verdict.name == "open" and verdict.more_units is not None:
        sentence += f" About {verdict.more_units:,} more runs to judge it."
    elif verdict.name == "open" and min(main.shown, main.held_out) < MIN_UNITS_A_SIDE:
        sentence += f" It takes {MIN_UNITS_A_SIDE} runs of each kind to judge it."
    return Effect(
        verdict=verdict.name,
        name=name,
        sentence=sentence,
        shown=main.shown,
        held_out=main.held_out,
        has_numbers=True,
        gain=main.gain,
        low=main.low,
        high=main.high,
    )


def compared(estimate: Estimate, *, of: str = "it") -> str:
    """Return in one sentence how runs went with the tip and without it; `of` names what they had."""
    told, is_good = _TOLD[estimate.outcome]
    shown, held_out = estimate.rate_shown, estimate.rate_held_out
    if not is_good:
        shown, held_out = 1 - shown, 1 - held_out
    return (
        f"With {of} {shown:.0%} of {counted(estimate.shown, 'run')} {told}, "
        f"without {of} {held_out:.0%} of {estimate.held_out:,}."
    )


def effect_rows(measured: MeasuredTip) -> list[EffectRow]:
    """Return all that was measured, the outcomes first."""
    rows = [
        EffectRow(
            name=_OUTCOMES[kind],
            shown=one.shown,
            held_out=one.held_out,
            with_it=f"{one.rate_shown:.1%}",
            without=f"{one.rate_held_out:.1%}",
            difference=f"{100 * one.gain:+.0f} points [{100 * one.low:+.0f}, {100 * one.high:+.0f}]",
        )
        for kind, one in measured.trial.estimates.items()
    ]
    rows += (
        EffectRow(
            name=_AMOUNTS[kind],
            shown=amount.shown,
            held_out=amount.held_out,
            with_it=f"{amount.mean_shown:,.4g}",
            without=f"{amount.mean_held_out:,.4g}",
            difference=f"{amount.difference:+,.3g} ± {amount.radius:,.3g}",
        )
        for kind, amount in measured.trial.amounts.items()
    )
    return rows


def measured_tip(proof: Proof, tip_id: str) -> MeasuredTip | None:
    return next((one for one in proof.tips if one.tip.id == tip_id), None)


def draw_curve(curve: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw what `kaizen.sync.read_curve` returns."""
    points = [Point(one["units"], one["gain"], one["low"], one["high"]) for one in curve]
    if not points:
        return effect_plot([], "")
    last = points[-1]
    label = (
        f"How many more of 100 runs go well with the tip: {100 * last.gain:+.0f} after {last.runs:,} runs, "
        f"between {100 * last.low:+.0f} and {100 * last.high:+.0f}. The table below has all numbers."
    )
    return effect_plot(points, label)
