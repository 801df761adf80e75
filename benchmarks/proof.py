"""How sure verdicts on tips are, simulated with known truth: `python benchmarks/proof.py` prints Markdown."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kaizen.store import StoreSettings, open_store
from kaizen.sync import ModelSettings, Sync, SyncSettings, read_proof
from kaizen.sync.model import Exposure
from kaizen.sync.proof.betting import (
    WEIGHTS,
    Floats,
    Units,
    baselines,
    bounds,
    count_cells,
    place_bets,
)
from kaizen.sync.proof.experiment import Experiment
from kaizen.sync.proof.late import count_settled
from kaizen.sync.proof.values import Assignment, Unit
from kaizen.sync.proof.verdicts import MIN_UNITS_A_SIDE
from kaizen.sync.state.exposures import CallCounts, ExposedTrace, RunMeasures
from kaizen.tips import StoredTip, manual_tip
from kaizen.tips.effect import wording_revision

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.listed import ListedSource, one_call

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kaizen.store import Store
    from kaizen.sync.model import Trace

ALPHA = 0.05
SURE = math.log(2 / ALPHA)
CHUNK = 50
GAINS = (0.1, 0.05, 0.02, 0.0, -0.05, -0.1)
BASES = (0.1, 0.3, 0.5, 0.7, 0.9)
PROBABILITIES = (0.05, 0.1, 0.2, 0.5)


class World(NamedTuple):
    """Many populations of agents with one tip each: rows are populations, columns are units."""

    held_out: NDArray[np.bool_]
    p: Floats
    good: NDArray[np.bool_]
    gain: Floats

    def units(self, known: NDArray[np.bool_] | None = None) -> Units:
        rows, columns = self.good.shape
        trial = np.repeat(np.arange(rows), columns)
        whole = Units(trial, self.held_out.ravel(), self.p.ravel(), self.good.ravel())
        return whole if known is None else whole.where(known.ravel())


def world(rng: np.random.Generator, base: Floats, gain: Floats, p: Floats) -> World:
    """Draw units: `base` and `p` are for each unit, `gain` is for each population."""
    held_out = rng.random(base.shape) < p
    good = rng.random(base.shape) < base + np.where(held_out, 0, gain[:, None])
    return World(held_out, p, good, gain)


def even(populations: int, units: int, value: float) -> Floats:
    return np.full((populations, units), value)


def any_base(rng: np.random.Generator, populations: int, gain: Floats) -> Floats:
    """Draw a base rate for each population, such that rates with and without the tip are between 0 and 1."""
    base = rng.choice(BASES, populations)
    return np.clip(base, np.maximum(0, -gain), 1 - np.maximum(0, gain))


def capital(units: Units, rows: int, gain: Floats, *, on_more: bool) -> Floats:
    """Return the logarithm of the capital after each unit, betting on more, or less, than this gain."""
    bets = place_bets(units, baselines(units))
    growth = bets.growth(np.repeat(gain, len(units.p) // rows), on_more=on_more)
    path = np.cumsum(growth.reshape(len(WEIGHTS), rows, -1), axis=2)
    return np.asarray(np.logaddexp.reduce(path + np.log(WEIGHTS)[:, None, None]))


def ever_missed(drawn: World) -> Floats:
    """Return for each population whether its interval was without the truth after any unit, and its gain."""
    units, rows = drawn.units(), len(drawn.gain)
    paths = [capital(units, rows, drawn.gain, on_more=side) for side in (True, False)]
    return np.stack([np.any([path.max(axis=1) >= SURE for path in paths], axis=0), drawn.gain], axis=1)


def first_at(path: Floats, bar: float, enough: NDArray[np.bool_]) -> Floats:
    """Return after how many units each path is at the bar with enough units; infinity if never."""
    reached = (path >= bar) & enough
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def enough_units(held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    held = np.cumsum(held_out, axis=1)
    shown = np.cumsum(~held_out, axis=1)
    return (held >= MIN_UNITS_A_SIDE) & (shown >= MIN_UNITS_A_SIDE)


def in_chunks(populations: int, draw: Callable[[int], Floats]) -> Floats:
    """Draw a few populations at a time, to keep memory small."""
    return np.concatenate([draw(CHUNK) for _ in range(populations // CHUNK)])


# Kinds of populations: each takes how many, how many units, and gives a world.
def steady(rng: np.random.Generator, populations: int, units: int) -> World:
    gain = rng.choice(GAINS, populations)
    base = any_base(rng, populations, gain)[:, None] + even(populations, units, 0)
    return world(rng, base, gain, rng.choice(PROBABILITIES, populations)[:, None] + 0 * base)


def drifting(rng: np.random.Generator, populations: int, units: int) -> World:
    gain = rng.choice(GAINS, populations)
    ends = [any_base(rng, populations, gain)[:, None] for _ in range(2)]
    along = np.linspace(0, 1, units)[None, :]
    base = ends[0] + (ends[1] - ends[0]) * along
    return world(rng, base, gain, even(populations, units, 0.2))


def changing_p(rng: np.random.Generator, populations: int, units: int) -> World:
    """Draw a base rate that falls while p goes from 0.5 to 0.2 to 0.05: what misleads a plain comparison."""
    gain = rng.choice(GAINS, populations)
    p = np.select([np.arange(units) < 200, np.arange(units) < 1_000], [0.5, 0.2], 0.05)
    base = 0.8 - 0.6 * np.linspace(0, 1, units)[None, :] + even(populations, units, 0)
    return world(rng, base, gain, p[None, :] + even(populations, units, 0))


def several_tips(rng: np.random.Generator, populations: int, units: int) -> World:
    """Draw units that are given four other tips as well, each held out by itself."""
    gain = rng.choice(GAINS, populations)
    others = rng.choice(GAINS, (populations, 4, 1)) * (rng.random((populations, 4, units)) >= 0.2)
    return world(rng, 0.5 + others.sum(axis=1), gain, even(populations, units, 0.2))


def several_traces(rng: np.random.Generator, populations: int, units: int) -> World:
    """Draw units of one to five traces, good if all of them are; easy and hard units differ."""
    gain = rng.choice(GAINS, populations)
    each = rng.beta(8, 2, (populations, units))
    base = 0.1 + 0.8 * each ** rng.integers(1, 6, (populations, units))
    return world(rng, base, gain, even(populations, units, 0.2))


def hard_ones_unknown(rng: np.random.Generator, populations: int, units: int) -> World:
    """Draw units of which the hard ones seldom have an outcome: 30% of them against 90%."""
    gain = rng.choice(GAINS, populations)
    is_hard = rng.random((populations, units * 2)) < 0.5
    drawn = world(rng, np.where(is_hard, 0.2, 0.7), gain, even(populations, units * 2, 0.2))
    return first_known(drawn, rng.random(is_hard.shape) < np.where(is_hard, 0.3, 0.9), units)


def failures_unknown(rng: np.random.Generator, populations: int, units: int) -> World:
    """Draw units whose failures are less often reported: 60% of them against 90%."""
    base, p = even(populations, units * 2, 0.5), even(populations, units * 2, 0.2)
    drawn = world(rng, base, rng.choice(GAINS, populations), p)
    return first_known(drawn, rng.random(drawn.good.shape) < np.where(drawn.good, 0.9, 0.6), units)


def first_known(drawn: World, known: NDArray[np.bool_], units: int) -> World:
    """Return as many units of each population whose outcome is known, in their order."""
    order = np.argsort(~known, axis=1, kind="stable")[:, :units]
    held_out, p, good = (np.take_along_axis(column, order, 1) for column in drawn[:3])
    return World(held_out, p, good, drawn.gain)


Kind = Callable[[np.random.Generator, int, int], World]
KINDS: dict[str, Kind] = {
    "steady: all base rates, gains and p": steady,
    "base rate drifts": drifting,
    "p falls while the base rate falls": changing_p,
    "five tips at once": several_tips,
    "units of one to five traces": several_traces,
    "outcomes of hard units missing": hard_ones_unknown,
    "outcomes of failures missing": failures_unknown,
}


def drawn_and_missed(kind: Kind, rng: np.random.Generator, units: int, populations: int) -> Floats:
    return ever_missed(kind(rng, populations, units))


def late_missed(rng: np.random.Generator, populations: int, units: int) -> Floats:
    """Return whether an interval was without the truth at any of 40 looks, where outcomes come late.

    How late depends on how good they are: failures are reported within 50 units, successes within 500.
    """
    drawn = steady(rng, populations, units)
    arrives = np.arange(units) + rng.exponential(np.where(drawn.good, 500, 50))
    missed = np.zeros(populations, np.bool_)
    for look in np.linspace(units / 40, units, 40):
        known = arrives <= look
        for row in known[:, : int(look)]:
            row[count_settled(np.arange(len(row), dtype=float), row) :] = False
        units_known = drawn.units(known)
        cells = count_cells(units_known, baselines(units_known))
        low, high = bounds(cells, ALPHA)
        gain = drawn.gain[cells.trial]
        missed[cells.trial] |= (gain < low) | (gain > high)
    return np.stack([missed, drawn.gain], axis=1)


def coverage(rng: np.random.Generator, populations: int, units: int) -> Iterator[str]:
    yield f"| populations of {units:,} units | truth inside after every unit | the same, no effect |"
    yield "|---|---:|---:|"
    for name, kind in KINDS.items():
        yield _covered(name, in_chunks(populations, partial(drawn_and_missed, kind, rng, units)))
    late = in_chunks(populations, lambda n: late_missed(rng, n, units))
    yield _covered("outcomes late, failures first (40 looks)", late)


def _covered(name: str, found: Floats) -> str:
    missed, gain = found.T
    return f"| {name} | {1 - missed.mean():.1%} | {1 - missed[gain == 0].mean():.1%} |"


def widths(rng: np.random.Generator, populations: int) -> Iterator[str]:
    """Yield how much wider intervals are at n = 1,000 than one that may be looked at once."""
    yield "| base rate | " + " | ".join(f"p = {p}" for p in PROBABILITIES) + " |"
    yield "|---|" + "---:|" * len(PROBABILITIES)
    for base in BASES:
        ratios = []
        for p in PROBABILITIES:
            rates = even(populations, 1_000, base), np.zeros(populations), even(populations, 1_000, p)
            units = world(rng, *rates).units()
            low, high = bounds(count_cells(units, baselines(units)), ALPHA)
            fixed = 2 * 1.96 * math.sqrt(base * (1 - base) / (p * (1 - p)) / 1_000)
            ratios.append(f"{np.mean(high - low) / fixed:.2f}")
        yield f"| {base} | " + " | ".join(ratios) + " |"


def false_verdicts(rng: np.random.Generator, tips: int, units: int) -> Iterator[str]:
    """Yield how many tips without effect get a verdict by success and signature, at any unit."""
    yield "| tips without effect, two outcomes each | wrong verdict at any time | by p < 0.05 instead |"
    yield "|---|---:|---:|"
    for base in (0.1, 0.5, 0.9):
        found = in_chunks(tips, partial(idle_verdicts, rng, units, base))
        verdict, naive = found.T
        yield f"| base rate {base}, {units:,} units | {verdict.mean():.1%} | {naive.mean():.1%} |"


def idle_verdicts(rng: np.random.Generator, units: int, base: float, tips: int) -> Floats:
    none = np.zeros(tips)
    success = world(rng, even(tips, units, base), none, even(tips, units, 0.2))
    signature = success._replace(good=rng.random(success.good.shape) < 0.7)
    enough = enough_units(success.held_out)
    wrong, naive = np.zeros(tips, np.bool_), np.zeros(tips, np.bool_)
    for drawn in (success, signature):
        more, less = (capital(drawn.units(), tips, none, on_more=side) for side in (True, False))
        # The bar of verdicts() for one tip with two outcomes.
        wrong |= ((np.maximum(more, less) >= math.log(4 / ALPHA)) & enough).any(axis=1)
        naive |= ((np.abs(running_z(drawn)) > 1.96) & enough).any(axis=1)
    return np.stack([wrong, naive], axis=1)


def running_z(drawn: World) -> Floats:
    """Return the z of the difference of two shares after each unit."""
    held, good = drawn.held_out.astype(float), drawn.good.astype(float)
    n_held, n = np.cumsum(held, axis=1), np.arange(1, held.shape[1] + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.cumsum(good, axis=1) / n
        good_held = np.cumsum(good * held, axis=1)
        difference = (mean * n - good_held) / (n - n_held) - good_held / n_held
        return np.asarray(difference / np.sqrt(mean * (1 - mean) * (1 / n_held + 1 / (n - n_held))))


def many_tips(rng: np.random.Generator, worlds: int, tips: int, units: int) -> str:
    """Return how often e-BH calls any of many idle tips helpful, at any of the units."""
    wrong = []
    bar = math.log(2 * tips / ALPHA)
    for _ in range(worlds):
        best = in_chunks(tips, lambda n: best_idle(rng, n, units))
        wrong.append(float(best.max() >= bar))
    return f"{np.mean(wrong):.1%}"


def best_idle(rng: np.random.Generator, tips: int, units: int) -> Floats:
    drawn = world(rng, even(tips, units, 0.5), np.zeros(tips), even(tips, units, 0.2))
    return np.asarray(capital(drawn.units(), tips, drawn.gain, on_more=True).max(axis=1))


def until(
    rng: np.random.Generator, populations: int, units: int, base: float, gain: float, p: float, tips: int = 1
) -> tuple[float, float]:
    """Return the median and the 80% quantile of units until the verdict, among so many tips at once."""
    bar = math.log(2 * tips / ALPHA)

    def draw(n: int) -> Floats:
        drawn = world(rng, even(n, units, base), np.full(n, gain), even(n, units, p))
        path = capital(drawn.units(), n, np.zeros(n), on_more=gain > 0)
        return first_at(path, bar if gain > 0 else SURE, enough_units(drawn.held_out))

    found = in_chunks(populations, draw)
    return float(np.quantile(found, 0.5)), float(np.quantile(found, 0.8))


def times(rng: np.random.Generator, populations: int) -> Iterator[str]:
    yield "| units until the verdict | target | median | 80% |"
    yield "|---|---:|---:|---:|"
    rows = (
        ("helps: success 50% to 60%, p 0.2", "2,000", (6_000, 0.5, 0.1, 0.2)),
        ("the same among 100 tips, none of the others helps", "", (8_000, 0.5, 0.1, 0.2, 100)),
        ("the same, p 0.5", "", (4_000, 0.5, 0.1, 0.5)),
        ("the same, p 0.05", "", (20_000, 0.5, 0.1, 0.05)),
        ("helps: signature 30% to 5%, p 0.2", "300", (1_500, 0.7, 0.25, 0.2)),
        ("the same, p 0.5", "", (1_000, 0.7, 0.25, 0.5)),
        ("harms: success 50% to 40%, p 0.2", "2,000", (6_000, 0.5, -0.1, 0.2)),
        ("harms: success 70% to 50%, p 0.2", "", (3_000, 0.7, -0.2, 0.2)),
    )
    for name, target, (units, base, gain, p, *tips) in rows:
        median, most = until(rng, populations, int(units), base, gain, p, *map(int, tips))
        yield f"| {name} | {target} | {median:,.0f} | {most:,.0f} |"


def harm_done(rng: np.random.Generator, populations: int, units: int = 10_000) -> Iterator[str]:
    """Yield of how many units a harming tip is a part until it is out, and which share of all these are."""
    yield f"| success, p | units until it is out, median | of {units:,} units, it was shown to | never out |"
    yield "|---|---:|---:|---:|"
    for base, gain in ((0.5, -0.1), (0.7, -0.2), (0.5, -0.05)):
        for p in (0.2, 0.5):
            found = in_chunks(populations, partial(shown_until_out, rng, units, base, gain, p))
            until_out, touched = found.T
            name = f"{base:.0%} to {base + gain:.0%}, p {p}"
            never = f"{np.mean(np.isinf(until_out)):.0%}"
            yield f"| {name} | {np.median(until_out):,.0f} | {touched.mean() / units:.1%} | {never} |"


def shown_until_out(
    rng: np.random.Generator, units: int, base: float, gain: float, p: float, tips: int
) -> Floats:
    drawn = world(rng, even(tips, units, base), np.full(tips, gain), even(tips, units, p))
    path = capital(drawn.units(), tips, np.zeros(tips), on_more=False)
    out = first_at(path, SURE, enough_units(drawn.held_out))
    touched = np.where(np.arange(units) < out[:, None], ~drawn.held_out, False).sum(axis=1)
    return np.stack([out, touched], axis=1)


def right_verdicts(rng: np.random.Generator, populations: int) -> Iterator[str]:
    """Yield how many tips have the right verdict by their signature, after so many units."""
    yield "| signature, p | 200 units | 400 | 800 | wrong | one look at 200 |"
    yield "|---|---:|---:|---:|---:|---:|"
    for before, after in ((0.3, 0.1), (0.5, 0.2), (0.4, 0.05), (0.8, 0.2), (0.2, 0.4)):
        for p in (0.2, 0.5):
            found = in_chunks(populations, partial(verdict_times, rng, (before, after), p))
            yield f"| {before:.0%} to {after:.0%}, p {p} | {_right(found)} |"
    for p in (0.2, 0.5):
        found = in_chunks(2 * populations, partial(verdict_times, rng, None, p))
        yield f"| all of 20 to 60 points, up or down, p {p} | {_right(found)} |"


def _right(found: Floats) -> str:
    right, wrong, once = found.T
    shares = " | ".join(f"{np.mean(right <= n):.0%}" for n in (200, 400, 800))
    return f"{shares} | {np.mean(wrong <= 800):.1%} | {once.mean():.0%}"


def verdict_times(rng: np.random.Generator, rates: tuple[float, float] | None, p: float, n: int) -> Floats:
    """Return when each tip has the right verdict, and the wrong one, and what one look at 200 says.

    Without rates any signature is drawn that the tip makes rarer or more frequent by 20 to 60 points.
    """
    before, after = (np.full(n, rate) for rate in rates) if rates else any_rates(rng, n)
    gain = before - after
    base = 1 - before[:, None] + even(n, 800, 0)
    drawn = world(rng, base, gain, even(n, 800, p))
    enough, none = enough_units(drawn.held_out), np.zeros(n)
    helps, harms = (
        first_at(capital(drawn.units(), n, none, on_more=side), SURE, enough) for side in (True, False)
    )
    once = running_z(drawn)[:, 199] * np.sign(gain) > 1.96
    right, wrong = np.where(gain > 0, helps, harms), np.where(gain > 0, harms, helps)
    return np.stack([right, wrong, once], axis=1)


def any_rates(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    gain = rng.uniform(0.2, 0.6, n)
    less = rng.uniform(0, 1 - gain)
    is_harmful = rng.random(n) < 0.5
    return np.where(is_harmful, less, less + gain), np.where(is_harmful, less + gain, less)


def peak_mb() -> float:
    """Return the most memory that this process had; getrusage counts that of the one which started it too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure_report(tips: int, units: int, tips_a_unit: int) -> None:
    """Print what a report costs: seconds to add the units, seconds to estimate, megabytes added."""
    rng = np.random.default_rng(7)
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    chosen = rng.integers(0, tips, (units, tips_a_unit))
    held_out = rng.random((units, tips_a_unit)) < 0.2
    is_good = rng.random((units, tips_a_unit + 1)) < 0.6
    before = peak_mb()
    adding = 0.0
    experiment = Experiment()
    for number in range(units):
        tip_ids = [f"tip-{tip}" for tip in chosen[number].tolist()]
        good = is_good[number].tolist()
        unit = Unit(
            id=f"{number:032x}",
            began_at=datetime.fromtimestamp(start + number, UTC),
            assignments=tuple(
                Assignment(tip_id=tip_id, revision="1", p=0.2, is_held_out=held)
                for tip_id, held in zip(tip_ids, held_out[number].tolist(), strict=True)
            ),
            recurred=dict(zip(tip_ids, good, strict=False)),
            success=good[-1],
            refused_calls=number % 3,
            tokens=number % 1000,
        )
        began = time.process_time()
        experiment.add(unit)
        adding += time.process_time() - began
    began = time.process_time()
    found = len(experiment.trials())
    took = time.process_time() - began
    print(f"| {found:,} tips, {units:,} units, {tips_a_unit} tips each | {adding:.2f} s | {took:.2f} s | "
          f"{peak_mb() - before:.0f} MB |")  # fmt: skip


def measure_store(tips: int, units: int, tips_a_unit: int) -> None:
    """Print what `kaizen proof` costs that reads so many units from a store."""
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as directory, new_store(directory) as store:
        refs = list(known_tips(store, tips))
        for start in range(0, units, 1_000):
            puts = []
            for number in range(start, min(units, start + 1_000)):
                chosen = rng.choice(tips, tips_a_unit, replace=False).tolist()
                held_out = (rng.random(tips_a_unit) < 0.2).tolist()
                puts += exposed_trace(number, [refs[n] for n in chosen], held_out).to_puts("listed", "p")
            store.commit("kaizen", puts)
        before, began = peak_mb(), time.process_time()
        found = len(read_proof(store, "kaizen").tips)
        took = time.process_time() - began
        print(f"| {found:,} tips, {units:,} units, {tips_a_unit} tips each | {took:.2f} s | "
              f"{peak_mb() - before:.0f} MB |")  # fmt: skip


def new_store(directory: str) -> Store:
    store = open_store(StoreSettings(data_dir=Path(directory), embedder="none"))
    store.create_namespace("kaizen")
    return store


def known_tips(store: Store, count: int) -> Iterator[str]:
    """Put tips into the store, and yield each as spans name it."""
    puts = [
        replace(
            manual_tip(f"Tip {n}.", signature={"tool": "pay", "error": f"rule {n} not kept"}), id=f"tip-{n}"
        )
        for n in range(count)
    ]
    for start in range(0, count, 1_000):
        store.commit("kaizen", puts[start : start + 1_000])
    return (
        f"{entity.id}@{wording_revision(StoredTip.of(entity))}"
        for entity in store.iterate("kaizen", type="guideline")
    )


def exposed_trace(number: int, refs: list[str], held_out: list[bool]) -> ExposedTrace:
    chosen = list(zip(refs, held_out, strict=True))
    return ExposedTrace(
        trace_id=f"{number:032x}",
        began_at=datetime.fromtimestamp(1.7e9 + number, UTC),
        exposures=(
            Exposure(
                unit=f"{number:032x}",
                shown=tuple(ref for ref, held in chosen if not held),
                held_out=tuple(ref for ref, held in chosen if held),
                p={**{ref.partition("@")[0]: 0.2 for ref in refs}, "*": 0.02},
            ),
        ),
        measures=RunMeasures(
            refused=(("pay", f"rule {number % 5} not kept"),),
            own=CallCounts(refused_calls=1),
            tokens=number % 1_000,
        ),
        success=number % 3 == 0,
    )


def measure_sync(traces: int, rounds: int = 5) -> None:
    """Print the CPU time of a sync of runs that recall marked, and of the same runs without marks."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for is_marked in (True, False):
            with tempfile.TemporaryDirectory() as directory, new_store(directory) as store:
                [ref] = known_tips(store, 1)
                source = ListedSource([listed_run(n, ref if is_marked else "") for n in range(traces)])
                models = ModelSettings(tips_model="offline", reconcile_model="offline")
                began = time.process_time()
                Sync(source, store, SyncSettings(quiet_s=0), models).run()
                took[is_marked].append(time.process_time() - began)
    plain, marked = min(took[False]), min(took[True])
    print(f"| sync of {traces:,} traces, CPU | {plain:.2f} s | {marked:.2f} s | {marked / plain - 1:+.1%} |")


def listed_run(number: int, ref: str) -> Trace:
    """Return a run of twelve calls; in one run of three, one is refused. With marks if there is a tip."""
    told: list[dict[str, Any]] = [{"role": "user", "content": f"Pay the twelve bills of customer {number}."}]
    for bill in range(12):
        call = {"name": "pay", "arguments": json.dumps({"bill": bill, "amount": 100 * number})}
        told.append(
            {"role": "assistant", "tool_calls": [{"id": f"c{bill}", "type": "function", "function": call}]}
        )
        is_refused = bill == 5 and number % 3 == 0
        answer = "Error: rule 0 not kept" if is_refused else f"Bill {bill} is paid. " + "All is well. " * 20
        told.append({"role": "tool", "tool_call_id": f"c{bill}", "content": answer})
    ids = "[]" if number % 5 == 0 else json.dumps([ref])
    marks = {
        "kaizen.recall.unit": f"u{number}",
        "kaizen.recall.shown": ids,
        "kaizen.recall.held_out": json.dumps([ref]) if number % 5 == 0 else "[]",
        "kaizen.recall.p": json.dumps({ref.partition("@")[0]: 0.2, "*": 0.02}),
    }
    return one_call(f"{number:032x}", number, told, "Done.", **(marks if ref else {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=1_000)
    parser.add_argument("--units", type=int, default=3_000)
    parser.add_argument("--part", help="only the tables with this in their title, in lower case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sync", type=int, metavar="TRACES")
    parser.add_argument("--store", nargs=3, type=int, metavar=("TIPS", "UNITS", "TIPS_A_UNIT"))
    parser.add_argument("--report", nargs=3, type=int, metavar=("TIPS", "UNITS", "TIPS_A_UNIT"))
    options = parser.parse_args()
    if options.report:
        return measure_report(*options.report)
    if options.store:
        return measure_store(*options.store)
    if options.sync:
        return measure_sync(options.sync)
    rng, populations = np.random.default_rng(options.seed), options.populations
    parts = (
        ("Intervals", coverage(rng, populations, options.units)),
        ("Width at 1,000 units, as a multiple of an interval for one look", widths(rng, 200)),
        ("False verdicts", false_verdicts(rng, populations, options.units)),
        ("Time", times(rng, populations // 2)),
        ("Harm done", harm_done(rng, populations // 5)),
        ("Right verdicts", right_verdicts(rng, populations // 2)),
    )
    for title, lines in parts:
        if options.part and options.part not in title.lower():
            continue
        began = time.monotonic()
        print(f"\n### {title}\n", *lines, sep="\n", flush=True)
        print(f"\n({time.monotonic() - began:.0f} s)", file=sys.stderr)
    if options.part:
        return None
    print(f"\nAny of 1,000 idle tips called helpful, in 20 worlds: {many_tips(rng, 20, 1_000, 1_000)}")
    print("\n### Report\n\n| | add | estimate | memory |\n|---|---:|---:|---:|", flush=True)
    for tips_a_unit in ("3", "8"):
        arguments = [sys.executable, __file__, "--report", "1000", "100000", tips_a_unit]
        subprocess.run(arguments, check=True)
    print("\n| read from a store | CPU | memory |\n|---|---:|---:|", flush=True)
    subprocess.run([sys.executable, __file__, "--store", "1000", "100000", "3"], check=True)
    print("\n| | runs without marks | with marks and verdicts | |\n|---|---:|---:|---:|", flush=True)
    subprocess.run([sys.executable, __file__, "--sync", "300"], check=True)
    return None


if __name__ == "__main__":
    main()
