"""Measure what tips change: agents learn in the world of kaizen.demo.world, then do fresh tasks.

    python benchmarks/lift.py                                # an agent played by rules, no model; a minute
    python benchmarks/lift.py --base-url http://127.0.0.1:18080/v1 --model NAME    # any OpenAI-compatible API

Runs without tips are traced, the sync makes tips of them, and fresh tasks are done without tips, with tips of
other tools (placebo), and with the tips in the system prompt or in the descriptions of the tools. Prints the
tables of docs/explanation/quality.md. `--learners offline model both` measures the miner's tips, those that a
model words, and all of them together, in one run. `--save-tips` and `--tips` learn and try in two steps.
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

import httpx
from lift_report import Measured, Result, as_json, print_tables, print_tips
from lift_tips import BOTH, LEARNERS, MODEL, PLACES, Arm, Learner, load_tips, save_tips, shown, united
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


class Lift:
    """The whole measurement, step by step."""

    def __init__(self, options: argparse.Namespace, traces: Traces, stores: Mapping[str, Store]) -> None:
        self._options = options
        self._traces = traces
        models = {OFFLINE: OFFLINE, MODEL: options.tips_model}
        self._learners = {
            name: Learner(
                store,
                traces,
                models[name],
                concurrency=max(options.workers, 8),
                include_errors=options.include_errors,
            )
            for name, store in stores.items()
        }
        self._endpoint = endpoint(options) if options.base_url else None
        self._wordings: dict[str, list[StoredTip]] = {}
        groups = {"development": FAMILIES[: options.families], "held out": HELD_OUT[: options.held_out]}
        self._families = [(group, family) for group, families in groups.items() for family in families]
        self._changing = [(group, family) for group, family in self._families if family.later]

    def measure(self) -> Measured:
        """Learn, do fresh tasks in each arm, and again after rules have changed."""
        self._learn_or_load()
        wordings = self._wordings
        arms = [] if self._options.learn_only else self._arms
        results = _timed("fresh tasks", partial(self._try_all, self._families, arms)) if arms else []
        is_change_measured = self._changing and arms and not self._options.no_change
        later = _timed("after a change", self._try_changed) if is_change_measured else []
        names = [arm.name for arm in arms]
        return Measured(families=self._families, arms=names, results=results, later=later, wordings=wordings)

    @property
    def _arms(self) -> list[Arm]:
        plain = [Arm(place=place) for place in PLACES[:2]]
        own = [Arm(place=place, wording=name) for name in self._wordings for place in PLACES[2:]]
        return [arm for arm in [*plain, *own] if arm.place in self._options.arms]

    @property
    def _explained(self) -> Arm:
        """Return the arm that rules change in."""
        return Arm(place="tool description", wording=self._options.learners[0])

    def _learn_or_load(self) -> None:
        options = self._options
        if options.tips:
            stored = load_tips(options.tips)
            self._set_wordings({name: learner.load(stored[name]) for name, learner in self._learners.items()})
        else:
            _timed("learning", partial(self._learn, self._families, "first"))
        if options.save_tips:
            save_tips(options.save_tips, {name: learner.stored for name, learner in self._learners.items()})

    def _learn(self, families: Sequence[tuple[str, Family]], part: str, arm: Arm | None = None) -> None:
        """Make recorded attempts, with the tips of an arm if one is given, and turn all of them into tips."""
        numbers = range(self._options.learn_runs)
        tasks = [self._task(family, part, number) for _, family in families for number in numbers]
        runs = [partial(self._attempt_to_learn, task, arm) for task in tasks]
        _timed("runs to learn from", partial(self._traces.record_all, runs, self._options.workers))
        self._set_wordings(
            {name: _timed(f"sync, {name} tips", learner.learn) for name, learner in self._learners.items()}
        )

    def _set_wordings(self, learned: Mapping[str, Sequence[StoredTip]]) -> None:
        wordings = {**learned, BOTH: united(learned.values())}
        self._wordings = {name: wordings[name] for name in self._options.learners}

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
        explained = self._explained
        stale = [replace(result, arm="stale tips") for result in try_all([explained])]
        self._learn(self._changing, "later", explained)
        return [*without, *stale, *(replace(r, arm="after learning again") for r in try_all([explained]))]

    def _task(self, family: Family, part: str, number: int) -> WorldTask:
        seed = f"{self._options.seed} {part} {number}"
        return WorldTask(family=family, seed=seed, is_later=part.startswith("later"))

    def _given(self, task: WorldTask, arm: Arm) -> dict[str, Any]:
        if self._options.through == "recall" and arm.wording in self._learners:
            return self._learners[arm.wording].recall(task, arm.place)
        return shown(task.family, arm, self._wordings)


def endpoint(options: argparse.Namespace) -> Endpoint:
    """Return the model of `--base-url` and `--model`, to be asked by many agents at once."""
    from openai import DefaultHttpxClient, OpenAI

    key = os.environ.get("OPENAI_API_KEY") or "none"
    limits = httpx.Limits(max_keepalive_connections=options.workers)
    http_client = DefaultHttpxClient(limits=limits, timeout=600)
    client = OpenAI(base_url=options.base_url, api_key=key, max_retries=3, http_client=http_client)
    return Endpoint(client, options.model, max_tokens=options.max_tokens)


def _timed(what: str, do: Callable[[], Any]) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    result = do()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU", flush=True)
    return result


@contextmanager
def _prepared(options: argparse.Namespace) -> Iterator[Lift]:
    """Open a store for each wording, and a Phoenix if one is asked for."""
    names = [name for name in (OFFLINE, MODEL) if name in options.learners or BOTH in options.learners]
    is_traced = bool(options.base_url) and options.learn_by == "model"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-lift-")))
        traces: Traces = MemoryTraces()
        if options.phoenix:
            server = stack.enter_context(PhoenixServer(options.phoenix, directory / "phoenix"))
            traces = PhoenixTraces(server.url, is_traced=is_traced)
        settings = {name: StoreSettings(data_dir=directory / name) for name in names}
        stores = {name: stack.enter_context(open_store(where)) for name, where in settings.items()}
        yield Lift(options, traces, stores)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base-url", help="an OpenAI-compatible endpoint; without one an agent is played by rules")
    add("--model", help="the name of the model there")
    add("--learners", nargs="+", choices=LEARNERS, default=[OFFLINE], help="who words the tips")
    add("--tips-model", help="the LiteLLM name of the model that words tips; the agent's model if not given")
    add("--include-errors", action="store_true", help="learn from failed runs too")
    add("--save-tips", type=Path, metavar="FILE", help="write what was learned to this file")
    add("--tips", type=Path, metavar="FILE", help="try the tips of this file, and learn none")
    add("--learn-only", action="store_true", help="try nothing")
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
    add("--workers", type=int, default=1, help="agents at the same time")
    add("--seed", default="1")
    add("--show-tips", action="store_true", help="print the tips too")
    add("--json", type=Path, help="write every attempt to this file")
    options = parser.parse_args(arguments)
    if bool(options.base_url) != bool(options.model):
        parser.error("--base-url and --model go together")
    if options.learners != [OFFLINE] and not (options.tips_model or options.model):
        parser.error("--learners model and both need a model: --tips-model, or --base-url and --model")
    if options.through == "recall" and BOTH in options.learners:
        parser.error("recall reads one store: leave out the learner 'both'")
    if options.tips:
        options.no_change = True  # what was learned again would lack the runs behind these tips
    if not options.tips_model and options.model:
        options.tips_model = f"openai/{options.model}"
        os.environ["OPENAI_BASE_URL"] = options.base_url
        os.environ.setdefault("OPENAI_API_KEY", "none")
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
