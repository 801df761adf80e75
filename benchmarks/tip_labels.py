"""Compare the tips that the offline generator makes now with those that a person read and labelled.

    python benchmarks/tip_labels.py             # the table of docs/explanation/quality.md
    python benchmarks/tip_labels.py --show      # the tips that have no label, with their evidence

Each set of runs is synced into a store of its own, as `kaizen sync` does without a model; what agents get is
`served`. A label belongs to the words of a tip: one whose wording changed has to be read again, and is
counted as `not labelled`. How the labels were made is told in benchmarks/data/README.md.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.demo.world.agent import attempt
from kaizen.demo.world.held_out import HELD_OUT
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.demo.world.traces import MemorySource, outcome_of, trace_of
from kaizen.store import StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings
from kaizen.tips import EVIDENCE, GUIDELINE, StoredTip, read_tips

if TYPE_CHECKING:
    from kaizen.demo.world.traces import Chat
    from kaizen.store import Store

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data" / "trajectories"
LABELS = ROOT / "benchmarks" / "data" / "tip_labels.jsonl"
UNSEEN = ROOT / "benchmarks" / "data" / "unseen_runs.jsonl"

QUESTIONS = ("true", "useful", "general", "readable")
_NAMESPACE = "labels"
_RUNS_A_FAMILY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its messages and tools as OpenAI has them, and whether it succeeded."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    is_done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedTip:
    """A tip that a sync left in its store, with what is known against it."""

    content: str
    status: str
    support: int
    counterexamples: int
    is_weakened: bool
    quotes: tuple[str, ...]

    @classmethod
    def of(cls, tip: StoredTip, quotes: Iterable[str]) -> MinedTip:
        return cls(
            content=tip.content,
            status="served" if tip.is_active else tip.status,
            support=tip.support,
            counterexamples=len(tip.counterexamples),
            is_weakened=bool(tip.claim.get("is_conditional")),
            quotes=tuple(quotes),
        )


def retail() -> Iterator[Run]:
    tools = json.loads((SHARED / "retail_tools.json").read_text())
    return _chats(SHARED / "tau2_retail.jsonl.gz", tools)


def swebench() -> Iterator[Run]:
    return _chats(SHARED / "swebench_lite_test_deepseek_django24.jsonl.gz", [])


def _chats(path: Path, tools: Sequence[Mapping[str, Any]]) -> Iterator[Run]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for chat in map(json.loads, lines):
            yield Run(messages=chat["messages"], tools=tools, is_done=chat["success"])


def held_out() -> Iterator[Chat]:
    for number in range(_RUNS_A_FAMILY):
        for family in HELD_OUT:
            task = WorldTask(family=family, seed=number)
            yield attempt(task, RulesPlayer(task))


def examples() -> Iterator[Run]:
    for line in (ROOT / "examples" / "sources" / "chats.jsonl").read_text(encoding="utf-8").splitlines():
        yield Run(messages=json.loads(line)["messages"])


def unseen() -> Iterator[Run]:
    """Yield the runs that were written for this, by somebody who had not seen the generator."""
    for line in UNSEEN.read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        messages = [{"role": "user", "content": run["request"]}]
        for number, step in enumerate(run["steps"]):
            messages += _messages(step, f"call-{number}")
        messages.append({"role": "assistant", "content": "Done."})
        yield Run(messages=messages, is_done=run["outcome"] == "success")


def _messages(step: Any, call_id: str) -> list[dict[str, Any]]:
    if isinstance(step, str):
        return [{"role": "assistant", "content": "That did not work."}, {"role": "user", "content": step}]
    name, arguments, result = step
    made = {"id": call_id, "function": {"name": name, "arguments": json.dumps(arguments)}}
    return [
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


SOURCES: dict[str, Callable[[], Iterator[Chat]]] = {
    "retail": retail,
    "swebench": swebench,
    "held out": held_out,
    "examples": examples,
    "unseen": unseen,
}


def mine(runs: Iterable[Chat]) -> list[MinedTip]:
    """Return the tips that a sync without a model makes of these runs, in the order of their words."""
    traces = {f"{n + 1:032x}": (trace_of(run, n), outcome_of(run)) for n, run in enumerate(runs)}
    source = MemorySource(
        {name: trace for name, (trace, _) in traces.items()},
        {name: said for name, (_, said) in traces.items()},
    )
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    settings = SyncSettings(namespace_id=_NAMESPACE, quiet_s=0.0, include_errors=True)
    with tempfile.TemporaryDirectory() as folder, open_store(StoreSettings(data_dir=Path(folder))) as store:
        report = Sync(source, store, settings, models).run()
        if report.failures:
            raise SystemExit(f"the sync failed: {report.failures[0].reason}")
        return sorted(_stored(store), key=lambda tip: tip.content)


def _stored(store: Store) -> Iterator[MinedTip]:
    quotes: dict[str, list[str]] = {}
    for entity in store.iterate(_NAMESPACE, type=EVIDENCE):
        quotes.setdefault(str(entity.metadata["tip_id"]), []).append(str(entity.metadata["quote"]))
    for tip in read_tips(store.iterate(_NAMESPACE, type=GUIDELINE)):
        yield MinedTip.of(tip, quotes.get(tip.id, ()))


def read_labels() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]


def label_id(source: str, content: str) -> str:
    """Return the id of a label: a hash of the tip's words, since those of held-out tools stay unread."""
    return hashlib.blake2b(f"{source}: {content}".encode(), digest_size=8).hexdigest()


def row(name: str, labels: Sequence[Mapping[str, Any]]) -> str:
    """Return how many of these labels say yes to each question, as a line of a table."""
    yes = (sum(label[question] for label in labels) for question in QUESTIONS)
    return f"| {name} | {len(labels)} | {' | '.join(map(str, yes))} |"


def print_as_read(labels: Sequence[Mapping[str, Any]]) -> None:
    print("As read; a status is the one that the tip had then:\n")
    print(f"| runs, status | tips | {' | '.join(QUESTIONS)} |\n|---|{'---:|' * 5}")
    for source in SOURCES:
        # Words that a fix changed were read again, and are no finding of their own.
        of_source = [label for label in labels if label["source"] == source and "read_after" not in label]
        for is_served, name in ((True, "served"), (False, "not served")):
            chosen = [label for label in of_source if (label["status"] == "served") == is_served]
            if chosen:
                print(row(f"{source}, {name}", chosen))


def print_as_mined(
    labels: Sequence[Mapping[str, Any]], mined: Mapping[str, Sequence[MinedTip]], *, shows: bool
) -> None:
    known = {label["id"]: label for label in labels}
    print("\nServed now:\n")
    print(f"| runs | tips with a label | {' | '.join(QUESTIONS)} | not labelled | with counterexamples |")
    print(f"|---|{'---:|' * 7}")
    for source, tips in mined.items():
        served = {label_id(source, tip.content): tip for tip in tips if tip.status == "served"}
        broken = sum(bool(tip.counterexamples) and not tip.is_weakened for tip in served.values())
        found = [known[name] for name in served if name in known]
        print(f"{row(source, found)} {len(served) - len(found)} | {broken} |")
    gone = known.keys() - {label_id(source, tip.content) for source, tips in mined.items() for tip in tips}
    print(f"\n{len(gone)} of {len(known)} labelled tips are not made any more.")
    if shows:
        for source, tips in mined.items():
            for tip in tips:
                if label_id(source, tip.content) not in known:
                    print(f"\n{source}, {tip.status}, {tip.support} runs: {tip.content}")
                    print("\n".join(f"  {quote}" for quote in tip.quotes[:2]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", metavar="RUNS", help=f"some of: {', '.join(SOURCES)}")
    parser.add_argument("--show", action="store_true", help="show the tips that have no label")
    options = parser.parse_args()
    if unknown := set(options.sources) - SOURCES.keys():
        parser.error(f"no runs '{unknown.pop()}'; there are: {', '.join(SOURCES)}")
    chosen = options.sources or list(SOURCES)
    labels = [label for label in read_labels() if label["source"] in chosen]
    print_as_read(labels)
    print_as_mined(labels, {name: mine(SOURCES[name]()) for name in chosen}, shows=options.show)


if __name__ == "__main__":
    main()
