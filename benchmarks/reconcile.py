"""How well new tips are reconciled with known ones, on pairs that were labelled by reading them.

    python benchmarks/reconcile.py           # the tables of docs/explanation/tips.md
    python benchmarks/reconcile.py --sweep   # and every threshold that was tried, on the other half

The labels are in benchmarks/data, whose README says how they came about; the texts are in ../shared/data.
For each pair the first tip is known and the second one is new, in a store that holds nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.sync import ModelSettings
from kaizen.sync.knowledge import similarity
from kaizen.sync.knowledge.opposites import decide_by_words
from kaizen.sync.knowledge.reconcile import NewTip, Reconciler
from kaizen.sync.knowledge.similarity import SimilarityIndex, Thresholds, load_embedder
from kaizen.sync.llm.client import Model
from kaizen.sync.llm.schemas import Decision, DecisionsAnswer
from kaizen.tips.tip import StoredTip, Tip, TipSource

if TYPE_CHECKING:
    from kaizen.store import Embedder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tips"
LABELS = Path(__file__).resolve().parent / "data" / "tip_pair_labels.jsonl"
KINDS = ("duplicate", "mergeable", "contradicts")
# What the reconciler counts, in the words of the labels.
DECIDED = ("different", "duplicate", "mergeable", "contradicts")


@dataclass(frozen=True, slots=True)
class Pair:
    known: str
    new: str
    label: str
    is_held_out: bool


class AgreeableModel:
    """The scripted model: calls everything that it is asked about a duplicate of the first tip it is shown.

    The worst that a model can do to evidence; what is left of its mistakes is what the words undo.
    """

    name = "scripted"

    def ask(self, **_: Any) -> DecisionsAnswer:
        return DecisionsAnswer(decisions=[Decision(new=1, decision="duplicate", known=1, content=None)])


class LabelledModel:
    """The scripted model: knows the labels, but takes opposites for duplicates, as embeddings do."""

    name = "scripted"

    def __init__(self, label: str) -> None:
        self._label = label

    def ask(self, **_: Any) -> DecisionsAnswer:
        kinds = {"different": "new", "mergeable": "merge", "contradicts": "duplicate"}
        kind = kinds.get(self._label, self._label)
        decision = {"new": 1, "decision": kind, "known": 1, "content": "One wording."}
        return DecisionsAnswer(decisions=[Decision.model_validate(decision)])


def read_pairs(data: Path) -> list[Pair]:
    lines = (data / "ace_appworld_offline_bullets.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {tip["id"]: tip["text"] for tip in map(json.loads, lines)}
    labelled = map(json.loads, LABELS.read_text(encoding="utf-8").splitlines())
    return [
        Pair(texts[one["a"]], texts[one["b"]], one["label"], one["half"] == "held_out") for one in labelled
    ]


def decided(pair: Pair, reconciler: Reconciler) -> str:
    """What becomes of the second tip where the first one is known."""
    source = _source("new")
    tip = _tip(pair.new)
    new = NewTip(tip=tip, source=source, create=lambda: _stored("n", tip, source))
    known = {"k": _stored("k", _tip(pair.known), _source("old"))}
    if question := reconciler.question("story", [new], known):
        reconciler.record_answer("story", question, reconciler.ask(question))
    result = reconciler.reconcile([new], known)
    if result.contradicting:
        return "contradicts"
    counts = (result.created, result.duplicates, result.merged)
    return DECIDED[counts.index(1)]


def print_table(name: str, pairs: Sequence[Pair], model_for: Callable[[Pair], Any]) -> None:
    """Precision and recall of each kind of decision, on the half that chose nothing."""
    outcomes = Counter((pair.label, decided(pair, Reconciler(model_for(pair)))) for pair in pairs)
    cells = []
    for kind in KINDS:
        right = outcomes[kind, kind]
        said = sum(n for (_, found), n in outcomes.items() if found == kind)
        there = sum(n for (label, _), n in outcomes.items() if label == kind)
        cells.append(f"{_share(right, said)} | {_share(right, there)}")
    print(f"| {name} | {' | '.join(cells)} |")


def print_tables(name: str, pairs: Sequence[Pair]) -> None:
    print(f"\n{name}: {dict(Counter(pair.label for pair in pairs))}\n")
    print("| decided by | " + " | ".join(f"{kind}: precision | recall" for kind in KINDS) + " |")
    print("|---|" + "---:|" * 2 * len(KINDS))
    print_table("the words alone", pairs, lambda _: None)
    print_table("a model that calls all alike duplicates", pairs, lambda _: AgreeableModel())
    print_table("a model that errs on opposites only", pairs, lambda pair: LabelledModel(pair.label))
    if any(os.environ.get(key) for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY")):
        models = ModelSettings.from_environ(os.environ)
        model = Model(models.reconcile_model, models)
        print_table(models.reconcile_model, pairs, lambda _: model)
    else:
        print("\nNo real model was asked: set a provider's key, and KAIZEN_CONFLICT_RESOLUTION_MODEL.")


def print_strangers(data: Path, embedder: Embedder | None) -> None:
    """How many pairs of tips by chance are put to a model, and how many related ones are not."""
    lines = (data / "ace_appworld_offline_bullets.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {tip["id"]: tip["text"] for tip in map(json.loads, lines)}
    candidates = map(json.loads, (data / "ace_offline_candidate_pairs.jsonl").read_text().splitlines())
    near = {frozenset((one["a"], one["b"])) for one in candidates}
    related = [pair for pair in read_pairs(data) if pair.is_held_out and pair.label != "different"]
    print("\n| compared by | related pairs that are neighbours | pairs by chance that are |")
    print("|---|---:|---:|")
    for name, used in (("words and meaning", embedder), ("words alone", None)):
        index = SimilarityIndex(used)
        index.put(texts)
        least = index.thresholds.alike
        by_text = {text: tip_id for tip_id, text in texts.items()}
        kept = sum(index.similarity(by_text[p.known], by_text[p.new]) >= least for p in related)
        chance = random.Random(1)
        drawn = [chance.sample(sorted(texts), 2) for _ in range(20_000)]
        drawn = [pair for pair in drawn if frozenset(pair) not in near]
        strangers = sum(index.similarity(*pair) >= least for pair in drawn)
        print(f"| {name} | {_share(kept, len(related))} | {_share(strangers, len(drawn))} |")


def print_speed(data: Path) -> None:
    """What one new tip costs against 5,000 known ones, no model asked."""
    lines = (data / "ace_appworld_offline_bullets.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    known = {
        f"k{n}": _stored(f"k{n}", _tip(f"{texts[n % len(texts)]} Case {n}."), _source("old"))
        for n in range(5_000)
    }
    reconciler = Reconciler(None)
    times = []
    for number in range(40):
        tip, source = _tip(f"{texts[number * 7]} Otherwise."), _source("new")
        new = NewTip(tip=tip, source=source, create=lambda tip=tip, source=source: _stored("n", tip, source))  # type: ignore[misc]
        started = time.process_time()
        reconciler.reconcile([new], known)
        times.append((time.process_time() - started) * 1000)
    later = statistics.median(times[1:])
    print(f"\n5,000 known tips: the first new one {times[0]:,.0f} ms of CPU, then {later:.1f} ms each")


def print_sweep(pairs: Sequence[Pair], embedder: Embedder | None) -> None:
    index = SimilarityIndex(embedder)
    index.put({text: text for pair in pairs for text in (pair.known, pair.new)})
    print("\n| same from | precision of duplicates | recall |")
    print("|---:|---:|---:|")
    for same in (0.7, 0.75, 0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.92):
        thresholds = Thresholds(alike=0.0, opposed=0.6, same=same)
        found = [
            pair.label
            for pair in pairs
            if decide_by_words(pair.known, pair.new, index.similarity(pair.known, pair.new), thresholds)[0]
            == "duplicate"
        ]
        right = found.count("duplicate")
        there = sum(pair.label == "duplicate" for pair in pairs)
        print(f"| {same} | {_share(right, len(found))} | {_share(right, there)} |")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} ({part}/{whole})" if whole else "- (0/0)"


def _tip(content: str) -> Tip:
    return Tip(
        content=content,
        category="strategy",
        rationale="",
        trigger="",
        implementation_steps=(),
        task_description="",
        quote="",
    )


def _source(trace_id: str) -> TipSource:
    names: Mapping[str, str] = dict.fromkeys(("source", "project", "span_id", "quote", "outcome", "url"), "")
    return TipSource(trace_id=trace_id, **names)


def _stored(tip_id: str, tip: Tip, source: TipSource) -> StoredTip:
    return StoredTip.create(tip_id, tip, source, quarantine_reason="", provenance={})


def print_reconciliation(data: Path, *, sweep: bool = False) -> None:
    # One embedder for all reconcilers: loading it takes longer than a comparison.
    embedder = load_embedder()
    similarity.load_embedder = lambda: embedder
    pairs = read_pairs(data)
    held_out = [pair for pair in pairs if pair.is_held_out]
    print_tables(f"{len(held_out)} held-out pairs", held_out)
    print_tables(f"all {len(pairs)} pairs", pairs)
    print_strangers(data, embedder)
    print_speed(data)
    if sweep:
        print_sweep([pair for pair in pairs if not pair.is_held_out], embedder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", action="store_true", help="how the thresholds were chosen")
    print_reconciliation(DATA, sweep=parser.parse_args().sweep)


if __name__ == "__main__":
    main()
