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
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift_report import Measured, Result, as_json, print_tables, print_tips
from lift_tips import PLACES, Arm, Learner, shown
from world_traces import MemoryTraces, PhoenixTraces, Traces

from kaizen.demo.phoenix_server import PhoenixServer
from kaizen.demo.world.agent import Attempt, ChatModel, Endpoint, attempt
from kaizen.demo.world.development import FAMILIES
from kaizen.demo.world.held_out import HELD_OUT
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import OFFLINE

if TYPE_CHECKING:
    from kaizen.demo.world.family import Family
    from kaizen.tips import StoredTip

RULES = "an agent played by rules, no model"
EXPLAINED = Arm(place="tool description", wording=OFFLINE)


class Lift:
    """The whole measurement, step by step."""

    def __init__(self, options: argparse.Namespace, traces: Traces, stores: Mapping[str, Store]) -> None:
        self._options = options
        self._traces = traces
        self._learners = {model: Learner(store, traces, model) for model, store in stores.items()}
        self._endpoint = _endpoint(options) if options.base_url else None
        self._wordings: dict[str, list[StoredTip]] = {}
        groups = {"development": FAMILIES[: options.families], "held out": HELD_OUT[: options.held_out]}
        self._families = [(group, family) for group, families in groups.items() for family in families]
        self._changing = [(group, family) for group, family in self._families if family.later]

    def measure(self) -> Measured:
        """Learn, do fresh tasks in each arm, and again after rules have changed."""
        _timed("learning", partial(self._learn, self._families, "first"))
        wordings, arms = self._wordings, self._arms
        results = _timed("fresh tasks", partial(self._try_all, self._families, arms))
        is_change_measured = self._changing and not self._options.no_change
        later = _timed("after a change", self._try_changed) if is_change_measured else []
        names = [arm.name for arm in arms]
        return Measured(families=self._families, arms=names, results=results, later=later, wordings=wordings)

    @property
    def _arms(self) -> list[Arm]:
        plain = [Arm(place=place) for place in PLACES[:2]]
        own = [Arm(place=place, wording=name) for name in self._wordings for place in PLACES[2:]]
        return [arm for arm in [*plain, *own] if arm.place in self._options.arms]

    def _learn(self, families: Sequence[tuple[str, Family]], part: str, arm: Arm | None = None) -> None:
        """Make recorded attempts, with the tips of an arm if one is given, and turn all of them into tips."""
        for _, family in families:
            for number in range(self._options.learn_runs):
                task = self._task(family, part, number)
                self._traces.record(partial(self._attempt_to_learn, task, arm))
        learned = {name: learner.learn() for name, learner in self._learners.items()}
        both = {"both": [tip for tips in learned.values() for tip in tips]} if len(learned) > 1 else {}
        self._wordings = {**learned, **both}

    def _attempt_to_learn(self, task: WorldTask, arm: Arm | None) -> Attempt:
        is_model = self._endpoint and self._options.learn_by == "model"
        model: ChatModel = self._endpoint if self._endpoint and is_model else RulesPlayer(task)
        return attempt(task, model, **(self._given(task, arm) if arm else {}))

    def _try_all(
        self, families: Sequence[tuple[str, Family]], arms: Sequence[Arm], part: str = "fresh"
    ) -> list[Result]:
        """Do fresh tasks in each arm. Tasks of one prompt follow each other, so that its cache is used."""
        jobs = [
            (group, arm, self._task(family, part, number))
            for group, family in families
            for arm in arms
            for number in range(self._options.tasks)
        ]
        with ThreadPoolExecutor(self._options.workers) as pool:
            return list(pool.map(lambda job: self._try(*job), jobs))

    def _try(self, group: str, arm: Arm, task: WorldTask) -> Result:
        model = self._endpoint or RulesPlayer(task)
        given = self._given(task, arm)
        with self._traces.pausing():
            made = attempt(task, model, first_call_only=self._options.first_call_only, **given)
        return Result(group=group, arm=arm.name, attempt=made)

    def _try_changed(self) -> list[Result]:
        """Do tasks whose rule has changed: without tips, with stale ones, and after learning again."""
        try_all = partial(self._try_all, self._changing, part="later fresh")
        without = try_all([Arm(place="none")])
        stale = [replace(result, arm="stale tips") for result in try_all([EXPLAINED])]
        self._learn(self._changing, "later", EXPLAINED)
        return [*without, *stale, *(replace(r, arm="after learning again") for r in try_all([EXPLAINED]))]

    def _task(self, family: Family, part: str, number: int) -> WorldTask:
        seed = f"{self._options.seed} {part} {number}"
        return WorldTask(family=family, seed=seed, is_later=part.startswith("later"))

    def _given(self, task: WorldTask, arm: Arm) -> dict[str, Any]:
        if self._options.through == "recall" and arm.wording in self._learners:
            return self._learners[arm.wording].recall(task, arm.place)
        return shown(task.family, arm, self._wordings)


def _endpoint(options: argparse.Namespace) -> Endpoint:
    from openai import OpenAI

    key = os.environ.get("OPENAI_API_KEY") or "none"
    client = OpenAI(base_url=options.base_url, api_key=key, timeout=600, max_retries=1)
    return Endpoint(client, options.model, max_tokens=options.max_tokens)


def _timed(what: str, do: Callable[[], Any]) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    result = do()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU", flush=True)
    return result


@contextmanager
def _prepared(options: argparse.Namespace) -> Iterator[Lift]:
    """Open a store for each wording, and a Phoenix if one is asked for."""
    models = [OFFLINE, *([options.tips_model] if options.tips_model else [])]
    is_traced = bool(options.base_url) and options.learn_by == "model"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-lift-")))
        traces: Traces = MemoryTraces()
        if options.phoenix:
            server = stack.enter_context(PhoenixServer(options.phoenix, directory / "phoenix"))
            traces = PhoenixTraces(server.url, is_traced=is_traced)
        settings = {model: StoreSettings(data_dir=directory / str(n)) for n, model in enumerate(models)}
        stores = {model: stack.enter_context(open_store(where)) for model, where in settings.items()}
        yield Lift(options, traces, stores)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base-url", help="an OpenAI-compatible endpoint; without one an agent is played by rules")
    add("--model", help="the name of the model there")
    add("--tips-model", help="a LiteLLM name: tips that this model words are measured too")
    add("--phoenix", type=Path, help="a Phoenix executable: runs are traced through a real Phoenix")
    add("--learn-by", choices=("model", "rules"), default="model", help="who makes the runs to learn from")
    add("--through", choices=("own", "recall"), default="own", help="what chooses and places the tips")
    add("--families", type=int, default=len(FAMILIES), help="how many of those of development")
    add("--held-out", type=int, default=len(HELD_OUT), help="how many of those that are kept out of it")
    add("--learn-runs", type=int, default=20, help="runs to learn from, a family")
    add("--tasks", type=int, default=20, help="fresh tasks, a family and arm")
    add("--arms", nargs="+", choices=PLACES, default=list(PLACES))
    add("--first-call-only", action="store_true", help="end a fresh task after the first call with a rule")
    add("--no-change", action="store_true", help="leave out what happens after rules have changed")
    add("--max-tokens", type=int, default=160, help="tokens of one answer")
    add("--workers", type=int, default=1, help="fresh tasks at the same time")
    add("--seed", default="1")
    add("--show-tips", action="store_true", help="print the tips too")
    add("--json", type=Path, help="write every attempt to this file")
    options = parser.parse_args(arguments)
    if bool(options.base_url) != bool(options.model):
        parser.error("--base-url and --model go together")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parsed(arguments)
    who = f"the model {options.model}" if options.base_url else RULES
    learned = who if options.learn_by == "model" else RULES
    print(f"Fresh tasks by {who}; runs to learn from by {learned}.", flush=True)
    with _prepared(options) as lift:
        measured = lift.measure()
    print_tables(measured)
    if options.show_tips:
        print_tips(measured)
    if options.json:
        options.json.write_text(json.dumps(as_json(measured), indent=1))


if __name__ == "__main__":
    main()
