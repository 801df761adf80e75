"""Measure tips by the runs that they were shown to and held out from, and act on what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kaizen.store import ConflictError
from kaizen.sync.generate.offline.templates import widen
from kaizen.sync.proof.checks import headline, problems
from kaizen.sync.proof.values import ALL_TIPS, Assignment, Unit
from kaizen.sync.proof.verdicts import VerdictRules, main_estimates, verdicts
from kaizen.sync.state.exposures import EXPOSURE, ExposedTrace
from kaizen.sync.state.records import TRAJECTORY
from kaizen.sync.state.reported import ReportedOutcomes, read_reported
from kaizen.sync.state.trajectories import UNRECORDED_TIPS
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.effect import current_effect, with_effect, wording_revision
from kaizen.tips.reading import read_tips
from kaizen.tips.tip import StoredTip

if TYPE_CHECKING:
    from kaizen.store import Commit, Entity, Store
    from kaizen.sync.model import Exposure
    from kaizen.sync.proof.values import Estimate, Trial, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTip:
    """A tip, what was measured of it as it is worded now, and what follows."""

    tip: StoredTip
    trial: Trial
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.tip.id,
            "content": self.tip.content,
            "status": self.tip.status,
            **asdict(self.trial),
            "verdict": asdict(self.verdict),
        }

    @property
    def main(self) -> Estimate | None:
        """Return the estimate that decided, or the one that says most so far; None if there is none."""
        if self.verdict.because is not None:
            return self.trial.estimates[self.verdict.because]
        found = main_estimates(self.trial) or list(self.trial.estimates.values())
        return max(found, key=lambda one: max(one.helps_evidence, one.harms_evidence), default=None)

    @property
    def effect(self) -> dict[str, Any] | None:
        """Return what the tip keeps of a verdict with its numbers; None while it is open."""
        estimate = self.main
        if self.verdict.because is None or estimate is None:
            return None
        numbers = {
            "gain": estimate.gain,
            "low": estimate.low,
            "high": estimate.high,
            "rate_shown": estimate.rate_shown,
            "rate_held_out": estimate.rate_held_out,
        }
        return {
            "verdict": self.verdict.name,
            "revision": wording_revision(self.tip),
            "outcome": estimate.outcome,
            "shown": estimate.shown,
            "held_out": estimate.held_out,
            **{name: round(value, 4) for name, value in numbers.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the experiment shows so far: tips that were tried, the most telling first, and all together.

    `outdated` are tips whose words or tools changed since their verdict, and that no run was to be shown yet.
    `unrecorded` is the number of traces that hold tips and do not say which.
    """

    units: int
    traces: int
    tips: tuple[MeasuredTip, ...]
    total: Trial | None
    outdated: tuple[StoredTip, ...] = ()
    unrecorded: int = 0

    @property
    def headline(self) -> str:
        return headline(self._trials, units=self.units)

    @property
    def problems(self) -> list[str]:
        return list(problems(self._trials, units=self.units, traces=self.traces, unrecorded=self.unrecorded))

    @property
    def _trials(self) -> list[Trial]:
        return [*(measured.trial for measured in self.tips), *([self.total] if self.total else [])]

    def to_json(self) -> dict[str, Any]:
        return {
            "headline": self.headline,
            "problems": self.problems,
            "units": self.units,
            "traces": self.traces,
            "total": asdict(self.total) if self.total else None,
            "tips": [measured.to_json() for measured in self.tips],
        }


def read_proof(
    store: Store, namespace_id: str, *, rules: VerdictRules | None = None, is_adjusted: bool = False
) -> Proof:
    """Estimate the effects of all tips of a namespace that some run was to be shown."""
    # It imports numpy, which other commands need not wait for.
    from kaizen.sync.proof.experiment import Experiment

    rules = rules or VerdictRules()
    tips = {tip.id: tip for tip in read_tips(store.iterate(namespace_id, type=GUIDELINE))}
    experiment = Experiment()
    units = traces = 0
    for count, unit in _counted_units(store, namespace_id, tips):
        experiment.add(unit)
        units += 1
        traces += count
    trials = experiment.trials(is_adjusted=is_adjusted, alpha=rules.alpha)
    current = [
        trial
        for trial in trials
        if trial.tip_id in tips and trial.revision == str(wording_revision(tips[trial.tip_id]))
    ]
    tried = {trial.tip_id for trial in current}
    measured = [
        MeasuredTip(tip=tips[trial.tip_id], trial=trial, verdict=verdict)
        for trial, verdict in zip(current, verdicts(current, rules), strict=True)
    ]
    return Proof(
        units=units,
        traces=traces,
        tips=tuple(sorted(measured, key=_most_telling)),
        total=next((trial for trial in trials if trial.tip_id == ALL_TIPS), None),
        outdated=tuple(
            tip
            for tip_id, tip in tips.items()
            if tip_id not in tried and tip.metadata.get("effect") and not current_effect(tip)
        ),
        unrecorded=store.count(namespace_id, type=TRAJECTORY, where={UNRECORDED_TIPS: True}),
    )


def read_growth(store: Store, namespace_id: str, measured: MeasuredTip, *, points: int = 20) -> list[Trial]:
    """Return what was known of a tip after each of so many equal parts of its runs."""
    from kaizen.sync.proof.experiment import trial_growth

    tip_id, revision = measured.trial.tip_id, measured.trial.revision
    return trial_growth(read_units(store, namespace_id), tip_id, revision, points=points)


def read_curve(
    store: Store, namespace_id: str, measured: MeasuredTip, *, points: int = 20
) -> list[dict[str, Any]]:
    """Return the interval of the tip's main outcome after each part of its runs; `units` are those so far."""
    kind = measured.main.outcome if measured.main else None
    growth = read_growth(store, namespace_id, measured, points=points)
    return [
        {
            "outcome": kind,
            "units": trial.chosen,
            "gain": estimate.gain,
            "low": estimate.low,
            "high": estimate.high,
        }
        for trial in growth
        if (estimate := trial.estimates.get(kind) if kind else None)
    ]


def read_units(store: Store, namespace_id: str) -> Iterator[Unit]:
    """Yield every unit of a namespace that tips were chosen for."""
    tips = {tip.id: tip for tip in read_tips(store.iterate(namespace_id, type=GUIDELINE))}
    return (unit for _, unit in _counted_units(store, namespace_id, tips))


def make_verdicts(
    store: Store,
    namespace_id: str,
    *,
    actor: str,
    run_id: str | None = None,
    rules: VerdictRules | None = None,
) -> list[Commit]:
    """Keep each new verdict with its numbers on its tip, and act on it, in a commit that can be undone."""
    proof = read_proof(store, namespace_id, rules=rules)
    changes = [(one.tip, one.effect, describe_verdict(one)) for one in proof.tips]
    changes += [(tip, None, "its words or tools changed: a new trial begins") for tip in proof.outdated]
    made: list[Commit] = []
    for tip, effect, reason in changes:
        before = tip.metadata.get("effect") or {}
        if _identity(effect or {}) != _identity(before):
            changed = with_effect(tip, effect, reason)
            made += _replaced(store, namespace_id, tip, changed, actor=actor, reason=reason, run_id=run_id)
    return made


def _replaced(
    store: Store, namespace_id: str, tip: StoredTip, changed: StoredTip, **why: Any
) -> list[Commit]:
    """Commit the changed tip, unless others changed it meanwhile: the next sync sees what it is then."""
    entity = store.get_many(namespace_id, [tip.id]).get(tip.id)
    if entity is None or StoredTip.of(entity) != tip:
        return []
    try:
        return [store.commit(namespace_id, changed.to_changes(), expected={tip.id: entity.revision}, **why)]
    except ConflictError:
        return []


def _identity(effect: Mapping[str, Any]) -> tuple[object, ...]:
    return effect.get("verdict"), effect.get("revision")


def describe_verdict(measured: MeasuredTip) -> str:
    """Return the verdict in a few words with its numbers."""
    name, estimate, more = measured.verdict.name, measured.main, measured.verdict.more_units
    if measured.verdict.because is None or estimate is None:
        return f"open, about {more:,} more runs to go" if more is not None else "open"
    low, gain, high = (f"{100 * value:+.0f}" for value in (estimate.low, estimate.gain, estimate.high))
    outcome = estimate.outcome.replace("_", " ")
    return f"{name}: {outcome} {gain} points [{low}, {high}], {estimate.units:,} runs"


def _counted_units(
    store: Store, namespace_id: str, tips: Mapping[str, StoredTip]
) -> Iterator[tuple[int, Unit]]:
    """Yield each unit, and of how many traces it is."""
    signatures = {tip_id: tip.signature for tip_id, tip in tips.items() if tip.signature}
    reported = read_reported(store, namespace_id)
    # The records of a unit are side by side, since their ids begin alike.
    for _, entities in groupby(store.iterate(namespace_id, type=EXPOSURE), key=_unit_part):
        traces = sorted(map(ExposedTrace.of, entities), key=lambda trace: (trace.began_at, trace.trace_id))
        yield len(traces), _unit(traces, signatures, reported)


def _unit_part(entity: Entity) -> str:
    return entity.id.rpartition(":")[0]


def _unit(
    traces: Sequence[ExposedTrace], signatures: Mapping[str, Mapping[str, str]], reported: ReportedOutcomes
) -> Unit:
    """Return the unit of these traces, in order of time: it counts once, and fails if one of them failed."""
    assignments = tuple(_assignments([trace.exposures[0] for trace in traces]))
    measures = [trace.measures for trace in traces]
    unit_id = traces[0].exposures[0].unit
    annotated = [trace.success for trace in traces if trace.success is not None]
    known = annotated or reported.of(unit_id, [trace.trace_id for trace in traces])
    costs = [one.cost_usd for one in measures if one.cost_usd is not None]
    refused = {pair for one in measures for pair in one.refused}
    # What the first trace repeats was in no trace of the unit; what later ones repeat was.
    calls = sum((one.own for one in measures), measures[0].repeated)
    return Unit(
        id=unit_id,
        began_at=traces[0].began_at,
        assignments=assignments,
        recurred={
            one.tip_id: _recurred(signatures[one.tip_id], refused)
            for one in assignments
            if one.tip_id in signatures
        },
        success=all(known) if known else None,
        refused_calls=calls.refused_calls,
        model_calls=calls.model_calls,
        tool_calls=calls.tool_calls,
        tokens=sum(one.tokens for one in measures),
        cost_usd=sum(costs) if costs else None,
        duration_s=sum(one.duration_s for one in measures),
        stratum=f"{measures[0].model} {traces[0].began_at:%Y-%m}",
    )


def _assignments(exposures: Sequence[Exposure]) -> Iterator[Assignment]:
    """Yield what a unit was assigned; the first of its traces says it.

    A unit that was to be shown no tip at all says nothing of one of them, since it lacked the others too.
    """
    first = exposures[0]
    if share := first.p.get(ALL_TIPS):
        yield Assignment(tip_id=ALL_TIPS, revision="", p=share, is_held_out=first.is_control)
    seen = set[str]()
    for exposure in () if first.is_control else exposures:
        chosen = [*((ref, False) for ref in exposure.shown), *((ref, True) for ref in exposure.held_out)]
        for ref, is_held_out in chosen:
            tip_id, _, revision = ref.rpartition("@")
            if tip_id in exposure.p and tip_id not in seen:
                seen.add(tip_id)
                p = exposure.p[tip_id]
                yield Assignment(tip_id=tip_id, revision=revision, p=p, is_held_out=is_held_out)


def _recurred(signature: Mapping[str, str], refused: Iterable[tuple[str, str]]) -> bool:
    tool, error = signature.get("tool"), signature.get("error", "")
    return any(tool == other and _is_same_error(error, told) for other, told in refused)


@lru_cache(maxsize=100_000)
def _is_same_error(one: str, other: str) -> bool:
    return widen(one, other) is not None


_ORDER = ("harms", "helps", "open", "no difference")


def _most_telling(measured: MeasuredTip) -> tuple[int, int, str]:
    return _ORDER.index(measured.verdict.name), -measured.trial.chosen, measured.tip.id
