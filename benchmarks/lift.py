"""Measure what tips change: agents learn in the world of kaizen.demo.world, then do fresh tasks.

    python benchmarks/lift.py                                # an agent played by rules, no model; a minute
    python benchmarks/lift.py --base-url http://127.0.0.1:18080/v1 --model NAME    # any OpenAI-compatible API

Runs without tips are traced, the sync makes tips of them (offline; with `--tips-model` a model words them
too), and fresh tasks are done without tips, with tips of other tools (placebo), and with the tips in the
system prompt or in the descriptions of the tools. Prints the tables of docs/explanation/quality.md.
`--first-call-only` ends a fresh task after the first call of the tool that has a rule: enough for first
tries, and much faster.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world_traces import MemoryTraces, PhoenixTraces, Traces

from kaizen.demo.phoenix_server import PhoenixServer
from kaizen.demo.world.agent import SYSTEM_PROMPT, Attempt, ChatModel, Endpoint, attempt
from kaizen.demo.world.development import FAMILIES
from kaizen.demo.world.held_out import HELD_OUT
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings
from kaizen.tips import GUIDELINE, StoredTip, read_tips

if TYPE_CHECKING:
    from kaizen.demo.world.family import Family

NAMESPACE = "world"
MOST_NOTES = 5  # for a tool
MOST_LINES = 3  # in a system prompt
HELPED = 0.2  # so many more first tries of a family
Z = 1.96
PLACES = ("none", "placebo", "system prompt", "tool description")
GROUPS = {"development": FAMILIES, "held out": HELD_OUT}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What agents are given: tips by which wording, and where."""

    place: str
    wording: str = ""

    @property
    def name(self) -> str:
        return f"{self.wording} tips, {self.place}" if self.wording else self.place


@dataclass(frozen=True, kw_only=True)
class Result:
    group: str
    arm: str
    attempt: Attempt


class Learner:
    """Turns recorded attempts into tips, as `kaizen sync` does: each call reads what is new."""

    def __init__(self, store: Store, traces: Traces, tips_model: str) -> None:
        self._store = store
        self._traces = traces
        self._models = ModelSettings(tips_model=tips_model, reconcile_model=tips_model)
        self.seconds = 0.0

    def learn(self) -> list[StoredTip]:
        """Sync, and return the tips that agents may be shown."""
        started = time.process_time()
        with self._traces.source() as source:
            settings = SyncSettings(namespace_id=NAMESPACE, quiet_s=0.0)
            report = Sync(source, self._store, settings, self._models).run()
        self.seconds += time.process_time() - started
        if report.failures:
            raise SystemExit(f"the sync failed: {report.failures[0].reason}")
        tips = read_tips(self._store.iterate(NAMESPACE, type=GUIDELINE))
        return sorted((tip for tip in tips if tip.is_active), key=lambda tip: (-tip.support, tip.content))


def tools_of(tip: StoredTip, offered: Sequence[str]) -> list[str]:
    """Return which of the tools a tip is about: that of its signature, else those that it names."""
    signature = tip.metadata.get("signature") or {}
    named = [name for name in offered if re.search(rf"\b{name}\b", tip.content)]
    return [signature["tool"]] if signature.get("tool") in offered else named


def tips_for(family: Family, tips: Sequence[StoredTip]) -> list[StoredTip]:
    """Return the tips about tools of that family, best backed first."""
    offered = [tool.name for tool in family.tools]
    return [tip for tip in tips if tools_of(tip, offered)]


def system_with(tips: Sequence[StoredTip]) -> str:
    """Return the system prompt with a block of tips at its end."""
    lines = "\n".join(f"- {tip.content}" for tip in tips[:MOST_LINES])
    block = f"\n\n<kaizen-tips>\nLearned from earlier runs:\n{lines}\n</kaizen-tips>"
    return SYSTEM_PROMPT + block if tips else SYSTEM_PROMPT


def notes_with(family: Family, tips: Sequence[StoredTip]) -> dict[str, str]:
    """Return what is noted in the descriptions of tools, by their names."""
    notes: defaultdict[str, list[str]] = defaultdict(list)
    for tip in tips:
        for name in tools_of(tip, [tool.name for tool in family.tools]):
            notes[name].append(tip.content)
    return {name: f"\n\n[kaizen]\n{_lines(texts[:MOST_NOTES])}\n[/kaizen]" for name, texts in notes.items()}


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def shown(family: Family, arm: Arm, wordings: Mapping[str, Sequence[StoredTip]]) -> dict[str, Any]:
    """Return what an arm adds to an attempt, from the tips by their wordings."""
    own = tips_for(family, wordings.get(arm.wording, ()))
    if arm.place == "placebo":
        others = [tip for tip in next(iter(wordings.values())) if not tips_for(family, [tip])]
        chosen = random.Random(family.name).sample(others, min(MOST_LINES, len(others)))
        return {"system": system_with(chosen)}
    if arm.place == "system prompt":
        return {"system": system_with(own)}
    return {"notes": notes_with(family, own)} if arm.place == "tool description" else {}


class Lift:
    """The whole measurement, step by step."""

    def __init__(self, options: argparse.Namespace, traces: Traces, stores: Mapping[str, Store]) -> None:
        self._options = options
        self._traces = traces
        self._learners = {
            name: Learner(store, traces, _model_of(name, options)) for name, store in stores.items()
        }
        self._endpoint = _endpoint(options) if options.base_url else None
        self._groups = {
            "development": FAMILIES[: options.families],
            "held out": HELD_OUT[: options.held_out],
        }
        self.results: list[Result] = []
        self.later: list[Result] = []
        self.wordings: dict[str, list[StoredTip]] = {}

    @property
    def families(self) -> list[tuple[str, Family]]:
        return [(group, family) for group, families in self._groups.items() for family in families]

    @property
    def arms(self) -> list[Arm]:
        """Return the arms: without tips, with others' tips, and each wording at each place."""
        plain = [Arm(place=place) for place in ("none", "placebo")]
        own = [Arm(place=place, wording=name) for name in self.wordings for place in PLACES[2:]]
        return [arm for arm in [*plain, *own] if arm.place in self._options.arms]

    def learn(self, *, is_later: bool = False, arm: Arm | None = None) -> None:
        """Make recorded attempts, with the tips of an arm if one is given, and turn them into tips."""
        era = "later" if is_later else "first"
        for _, family in self._changing() if is_later else self.families:
            given = shown(family, arm, self.wordings) if arm else {}
            for number in range(self._options.learn_runs):
                task = WorldTask(
                    family=family, seed=f"{self._options.seed} {era} {number}", is_later=is_later
                )
                self._traces.record(
                    lambda task=task, given=given: attempt(task, self._learning_model(task), **given)
                )
        learned = {name: learner.learn() for name, learner in self._learners.items()}
        both = {"both": [tip for tips in learned.values() for tip in tips]} if len(learned) > 1 else {}
        self.wordings = {**learned, **both}

    def measure(self, arms: Sequence[Arm], *, is_later: bool = False) -> list[Result]:
        """Do fresh tasks in each arm. Tasks of one prompt follow each other, so that its cache is used."""
        jobs = [
            (
                group,
                arm,
                WorldTask(family=family, seed=f"{self._options.seed} fresh {n}", is_later=is_later),
                given,
            )
            for group, family in (self._changing() if is_later else self.families)
            for arm in arms
            for given in [shown(family, arm, self.wordings)]
            for n in range(self._options.tasks)
        ]
        with ThreadPoolExecutor(self._options.workers) as pool:
            return list(pool.map(lambda job: self._try(*job), jobs))

    def measure_change(self) -> None:
        """Measure families whose rule has changed: without tips, with stale ones, after learning again."""
        arm = Arm(place="tool description", wording=OFFLINE)
        before = self.wordings
        self.later += self.measure([Arm(place="none")], is_later=True)
        self.later += [replace(r, arm="stale tips") for r in self.measure([arm], is_later=True)]
        self.learn(is_later=True, arm=arm)
        self.later += [replace(r, arm="after learning again") for r in self.measure([arm], is_later=True)]
        self.wordings = before

    def _changing(self) -> list[tuple[str, Family]]:
        return [(group, family) for group, family in self.families if family.later]

    def _try(self, group: str, arm: Arm, task: WorldTask, given: dict[str, Any]) -> Result:
        model = self._endpoint or RulesPlayer(task)
        made = attempt(task, model, first_call_only=self._options.first_call_only, **given)
        return Result(group=group, arm=arm.name, attempt=made)

    def _learning_model(self, task: WorldTask) -> ChatModel:
        return self._endpoint if self._endpoint and self._options.learn_by == "model" else RulesPlayer(task)


def _model_of(wording: str, options: argparse.Namespace) -> str:
    return OFFLINE if wording == OFFLINE else options.tips_model


def _endpoint(options: argparse.Namespace) -> Endpoint:
    from openai import OpenAI

    key = os.environ.get("OPENAI_API_KEY") or "none"
    client = OpenAI(base_url=options.base_url, api_key=key, timeout=600, max_retries=1)
    return Endpoint(client, options.model, max_tokens=options.max_tokens)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return middle - half, middle + half


def bootstrap(values: Sequence[float], *, rounds: int = 500) -> tuple[float, float]:
    """Return the 95% percentile interval of a mean; the same values give the same interval."""
    chosen = random.Random(0)
    means = sorted(statistics.fmean(chosen.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(rounds * 0.025)], means[int(rounds * 0.975)]


def share_of(flags: Sequence[bool]) -> str:
    low, high = wilson(sum(flags), len(flags))
    return f"{sum(flags) / len(flags):.0%} ({low:.0%}-{high:.0%})"


def mean_of(values: Sequence[float], digits: int) -> str:
    low, high = bootstrap(values)
    return f"{statistics.fmean(values):,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def arm_rows(results: Sequence[Result]) -> Iterator[list[str]]:
    """Yield a row for each arm: shares and means, each with its interval."""
    for arm in dict.fromkeys(result.arm for result in results):
        made = [result.attempt for result in results if result.arm == arm]
        yield [
            arm,
            str(len(made)),
            share_of([one.is_first_try for one in made]),
            share_of([one.is_done for one in made]),
            mean_of([one.errors for one in made], 2),
            mean_of([one.calls for one in made], 2),
            mean_of([one.tokens for one in made], 0),
        ]


ARM_HEADERS = ["given", "tasks", "first try", "success", "errors a task", "calls a task", "tokens a task"]


def first_tries(results: Sequence[Result], family: Family, arm: str) -> float:
    flags = [r.attempt.is_first_try for r in results if r.arm == arm and r.attempt.task.family is family]
    return sum(flags) / len(flags) if flags else math.nan


def family_rows(lift: Lift) -> Iterator[list[str]]:
    """Yield a row for each family: its tips, and its first tries in each arm."""
    arms = [arm.name for arm in lift.arms]
    for group, family in lift.families:
        tries = {arm: first_tries(lift.results, family, arm) for arm in arms}
        best = max((share for arm, share in tries.items() if arm not in PLACES), default=math.nan)
        helped = best - tries.get("none", math.nan) >= HELPED
        own = {name: len(tips_for(family, tips)) for name, tips in lift.wordings.items()}
        counts = " / ".join(map(str, own.values()))
        yield [family.name, group, counts, *(f"{tries[arm]:.0%}" for arm in arms), "yes" if helped else "no"]


def summary_rows(lift: Lift) -> Iterator[list[str]]:
    """Yield a row for each group: for how many families a tip was made and helped, and how many there are."""
    rows = list(family_rows(lift))
    for group in dict.fromkeys(row[1] for row in rows):
        families = [row for row in rows if row[1] == group]
        counts = [int(row[2].split(" / ")[0]) for row in families]
        helped = sum(row[-1] == "yes" for row in families)
        yield [
            group,
            f"{sum(map(bool, counts))} / {len(families)}",
            f"{helped} / {len(families)}",
            f"{statistics.fmean(counts):.1f}",
        ]


def print_table(title: str, headers: Sequence[str], rows: Iterator[list[str]]) -> None:
    print(f"\n{title}\n")
    for line in (headers, ["---"] * len(headers), *rows):
        print(f"| {' | '.join(line)} |")


def print_tables(lift: Lift, options: argparse.Namespace) -> None:
    for group in dict.fromkeys(result.group for result in lift.results):
        results = [result for result in lift.results if result.group == group]
        count = len({result.attempt.task.family.name for result in results})
        print_table(f"{group.capitalize()}: {count} families.", ARM_HEADERS, arm_rows(results))
    if lift.later:
        title = "After the rule has changed: the families whose rule does, tips in the tool description."
        print_table(title, ARM_HEADERS, arm_rows(lift.later))
    headers = ["families", "with a tip", "helped", "tips a family"]
    print_table(f"A tip helped if it gave {HELPED:.0%} more first tries.", headers, summary_rows(lift))
    wordings = " / ".join(lift.wordings)
    arms = [arm.name for arm in lift.arms]
    print_table(
        "First tries by family.", ["family", "group", f"tips: {wordings}", *arms, "helped"], family_rows(lift)
    )
    if options.show_tips:
        print_tips(lift)


def print_tips(lift: Lift) -> None:
    for name, tips in lift.wordings.items():
        for _, family in lift.families:
            print(f"\n{name} tips, {family.name}:\n{_lines([tip.content for tip in tips_for(family, tips)])}")


def as_json(lift: Lift, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "options": {key: str(value) for key, value in vars(options).items()},
        "attempts": [
            {
                "group": result.group,
                "family": result.attempt.task.family.name,
                "arm": result.arm,
                "is_later": result.attempt.task.is_later,
                "first_try": result.attempt.is_first_try,
                "success": result.attempt.is_done,
                "errors": result.attempt.errors,
                "calls": result.attempt.calls,
                "tokens": result.attempt.tokens,
                "messages": result.attempt.messages,
            }
            for result in [*lift.results, *lift.later]
        ],
        "tips": {name: [tip.content for tip in tips] for name, tips in lift.wordings.items()},
    }


@contextmanager
def prepared(options: argparse.Namespace) -> Iterator[Lift]:
    """Open a store for each wording, and a Phoenix if one is asked for."""
    names = [OFFLINE, *([options.tips_model] if options.tips_model else [])]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-lift-")))
        traces: Traces = MemoryTraces()
        if options.phoenix:
            server = stack.enter_context(PhoenixServer(options.phoenix, directory / "phoenix"))
            traces = PhoenixTraces(
                server.url, is_traced=bool(options.base_url) and options.learn_by == "model"
            )
        stores = {
            name: stack.enter_context(open_store(StoreSettings(data_dir=directory / str(number))))
            for number, name in enumerate(names)
        }
        yield Lift(options, traces, stores)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base-url", help="an OpenAI-compatible endpoint; without one an agent is played by rules, no model")
    add("--model", help="the name of the model there")
    add("--tips-model", help="a LiteLLM name: tips that this model words are measured too")
    add("--phoenix", type=Path, help="a Phoenix executable: runs are traced through a real Phoenix")
    add(
        "--learn-by",
        choices=("model", "rules"),
        default="model",
        help="who makes the runs that are learned from",
    )
    add("--families", type=int, default=len(FAMILIES), help="how many of the 16 of development")
    add("--held-out", type=int, default=len(HELD_OUT), help="how many of the 8 that are kept out of it")
    add("--learn-runs", type=int, default=20, help="runs to learn from, a family")
    add("--tasks", type=int, default=20, help="fresh tasks, a family and arm")
    add("--arms", nargs="+", choices=PLACES, default=list(PLACES))
    add(
        "--first-call-only", action="store_true", help="end a fresh task after the first call that has a rule"
    )
    add("--no-change", action="store_true", help="leave out what happens after a rule has changed")
    add("--max-tokens", type=int, default=160, help="tokens of one answer")
    add("--workers", type=int, default=1, help="fresh tasks at the same time")
    add("--seed", default="1")
    add("--show-tips", action="store_true", help="print the tips too")
    add("--json", type=Path, help="write every attempt to this file")
    options = parser.parse_args(arguments)
    if options.base_url and not options.model:
        parser.error("--base-url needs --model")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    who = f"the model {options.model}" if options.base_url else "an agent played by rules, no model"
    learned = who if options.learn_by == "model" else "an agent played by rules, no model"
    print(f"Fresh tasks by {who}; runs to learn from by {learned}.", flush=True)
    with prepared(options) as lift:
        timed("learn", lift.learn)
        timed("fresh tasks", lambda: lift.results.extend(lift.measure(lift.arms)))
        if not options.no_change:
            timed("changed rules", lift.measure_change)
        print_tables(lift, options)
        if options.json:
            options.json.write_text(json.dumps(as_json(lift, options), indent=1))


def timed(what: str, do: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    do()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
