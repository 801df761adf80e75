"""Measure tips by the runs that they were shown to and held out from, and act on what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING, Any

from kaizen.store import ConflictError
from kaizen.sync.generate.offline.templates import widen
from kaizen.sync.proof.checks import headline, problems
from kaizen.sync.proof.values import ALL_TIPS, Assignment, Unit
from kaizen.sync.proof.verdicts import VerdictRules, main_estimates, verdicts
from kaizen.sync.state.exposures import EXPOSURE, ExposureRecord
from kaizen.sync.state.records import TRAJECTORY
from kaizen.sync.state.reported import read_reported
from kaizen.sync.state.trajectories import UNRECORDED_TIPS
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.effect import current_effect, with_effect, wording_revision
from kaizen.tips.reading import read_tips
from kaizen.tips.tip import StoredTip

if TYPE_CHECKING:
    from kaizen.store import Commit, Entity, Store
    from kaizen.sync.proof.checks import Problem
    from kaizen.sync.proof.values import Estimate, Trial, Verdict


# A tip as spans name it, whether it was held out, and how likely that was.
_Choice = tuple[str, bool, float]


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
    def problems(self) -> list[Problem]:
        return list(problems(self._trials, units=self.units, traces=self.traces, unrecorded=self.unrecorded))

    @property
    def _trials(self) -> list[Trial]:
        return [*(measured.trial for measured in self.tips), *([self.total] if self.total else [])]

    def to_json(self) -> dict[str, Any]:
        return {
            "headline": self.headline,
            "problems": list(map(str, self.problems)),
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
    name, estimate = measured.verdict.name, measured.main
    if measured.verdict.because is None or estimate is None:
        return _describe_open(measured.verdict)
    low, gain, high = (f"{100 * value:+.0f}" for value in (estimate.low, estimate.gain, estimate.high))
    outcome = estimate.outcome.replace("_", " ")
    return f"{name}: {outcome} {gain} points [{low}, {high}], {estimate.units:,} runs"


def _describe_open(verdict: Verdict) -> str:
    if verdict.least_units is not None:
        return f"open, no verdict before about {verdict.least_units:,} more runs"
    return f"open, about {verdict.more_units:,} more runs to go"


def _counted_units(
    store: Store, namespace_id: str, tips: Mapping[str, StoredTip]
) -> Iterator[tuple[int, Unit]]:
    """Yield each unit, and of how many traces it is."""
    signatures = {tip_id: tip.signature for tip_id, tip in tips.items() if tip.signature}
    reported = read_reported(store, namespace_id)

    @cache
    def is_refused_again(tip_id: str, tool: str, error: str) -> bool:
        signature = signatures[tip_id]
        return signature.get("tool") == tool and _is_same_error(signature.get("error", ""), error)

    def recurred(tip_ids: Iterable[str], refused: Sequence[Sequence[str]]) -> dict[str, bool]:
        known = (tip_id for tip_id in tip_ids if tip_id in signatures)
        if not refused:
            return dict.fromkeys(known, False)
        return {tip_id: any(is_refused_again(tip_id, *call) for call in refused) for tip_id in known}

    # The records of a unit are side by side, since their ids begin alike.
    for _, entities in groupby(store.iterate(namespace_id, type=EXPOSURE), key=_unit_part):
        [first, *others] = entities
        record = _merged([first, *others]) if others else ExposureRecord.of(first)
        if record.success is None and reported:
            trace_ids = (entity.id.rpartition(":")[2] for entity in (first, *others))
            record = record._replace(success=reported.success(record.unit, trace_ids))
        assignments = _assignments(record)
        yield (
            1 + len(others),
            _unit(record, assignments, recurred([a[0] for a in assignments], record.refused)),
        )


def _unit_part(entity: Entity) -> str:
    return entity.id.rpartition(":")[0]


def _merged(entities: Sequence[Entity]) -> ExposureRecord:
    """Return one record of a unit of several traces: it counts once, and fails if one of them failed."""
    by_time = sorted(
        (record.began_us, entity.id, record)
        for entity, record in zip(entities, map(ExposureRecord.of, entities), strict=True)
    )
    records = [record for _, _, record in by_time]
    chosen = list(_first_of_each_tip(choice for record in records for choice in _chosen(record)))
    shown, held_out = ([choice for choice in chosen if choice[1] is side] for side in (False, True))
    known = [record.success for record in records if record.success is not None]
    costs = [record.cost_usd for record in records if record.cost_usd is not None]
    return records[0]._replace(
        success=all(known) if known else None,
        shown=[ref for ref, *_ in shown],
        held_out=[ref for ref, *_ in held_out],
        p=[p for *_, p in (*shown, *held_out)],
        refused=[call for record in records for call in record.refused],
        # What the first trace repeats was in no trace of the unit; what later ones repeat was.
        own=[sum(counts) for counts in zip(*(record.own for record in records), strict=True)],
        tokens=sum(record.tokens for record in records),
        cost_usd=sum(costs) if costs else None,
        duration_s=sum(record.duration_s for record in records),
    )


def _unit(record: ExposureRecord, assignments: tuple[Assignment, ...], recurred: Mapping[str, bool]) -> Unit:
    began_at = record.began_at
    refused_calls, model_calls, tool_calls = map(add, record.repeated, record.own)
    return Unit(
        id=record.unit,
        began_at=began_at,
        assignments=assignments,
        recurred=recurred,
        success=record.success,
        refused_calls=refused_calls,
        model_calls=model_calls,
        tool_calls=tool_calls,
        tokens=record.tokens,
        cost_usd=record.cost_usd,
        duration_s=record.duration_s,
        stratum=f"{record.model} {began_at.year}-{began_at.month:02}",
    )


def _assignments(record: ExposureRecord) -> tuple[Assignment, ...]:
    """Return what a unit was assigned.

    A unit that was to be shown no tip at all says nothing of one of them, since it lacked the others too.
    """
    share = record.control_share
    found = [Assignment(ALL_TIPS, "", share, record.is_control)] if share else []
    if not record.is_control:
        found += [Assignment(*_split(ref), p, held) for ref, held, p in _first_of_each_tip(_chosen(record))]
    return tuple(found)


def _chosen(record: ExposureRecord) -> Iterator[_Choice]:
    is_held_out = [False] * len(record.shown) + [True] * len(record.held_out)
    return zip((*record.shown, *record.held_out), is_held_out, record.p, strict=True)


def _first_of_each_tip(choices: Iterable[_Choice]) -> Iterable[_Choice]:
    first: dict[str, _Choice] = {}
    for choice in choices:
        first.setdefault(_split(choice[0])[0], choice)
    return first.values()


@lru_cache(maxsize=100_000)
def _split(ref: str) -> tuple[str, str]:
    """Return the id and the revision of a tip."""
    tip_id, _, revision = ref.rpartition("@")
    return tip_id, revision


@lru_cache(maxsize=100_000)
def _is_same_error(one: str, other: str) -> bool:
    return widen(one, other) is not None


_ORDER = ("harms", "helps", "open", "no difference")


def _most_telling(measured: MeasuredTip) -> tuple[int, int, str]:
    return _ORDER.index(measured.verdict.name), -measured.trial.chosen, measured.tip.id
