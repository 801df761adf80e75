"""How well search finds what it should: words, meanings, and every way of making one order out of two.

Run with the extra `onnx` of kaizen-store installed, as hatch's default environment has it:

    python benchmarks/search_quality.py            # the tables of docs/explanation/search.md
    python benchmarks/search_quality.py --sweep    # and every fusion that was tried

Queries are split in two halves. Parameters are chosen on one; what is printed is the other.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kaizen.store import load_embedder, ranking, text

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
EMBEDDERS = ("wordllama", "minilm")
SAME_MEANING = 4.0
PLAIN_TOKENIZER = "unicode61 remove_diacritics 2"

Scores = NDArray[np.float64]
Fusion = Callable[[Scores, Scores], Scores]


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    wanted: frozenset[int]
    """Rows of the documents, any of which is right."""


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    documents: Sequence[str]
    queries: Sequence[Query]

    def halves(self) -> tuple[list[int], list[int]]:
        """Indices of the queries to choose on, and of those to report on."""
        order = list(range(len(self.queries)))
        random.Random(4).shuffle(order)
        return order[::2], order[1::2]


class Quality(NamedTuple):
    recall_1: float
    recall_5: float
    mrr_10: float

    def __str__(self) -> str:
        return f"{self.recall_1:.3f} | {self.recall_5:.3f} | {self.mrr_10:.3f}"


def metatool(data: Path) -> Task:
    """What people ask for, and which of 199 tools serves it, by what the tools say of themselves."""
    tools = _lines(data / "retrieval" / "metatool_docs.jsonl")
    rows = {tool["tool"]: row for row, tool in enumerate(tools)}
    queries = _lines(data / "retrieval" / "metatool_queries_dev.jsonl")
    return Task(
        "MetaTool",
        [tool["text"] for tool in tools],
        [Query(query["query"], frozenset({rows[query["tool"]]})) for query in queries],
    )


def sts_retrieval(data: Path) -> Task:
    """A sentence, and which of all second sentences of STS-B say the same (gold of 4 or more)."""
    pairs = _pairs(data)
    documents = list(dict.fromkeys(pair["b"] for pair in pairs))
    rows = {document: row for row, document in enumerate(documents)}
    wanted: dict[str, set[int]] = {}
    for pair in pairs:
        if pair["score"] >= SAME_MEANING:
            wanted.setdefault(pair["a"], set()).add(rows[pair["b"]])
    return Task("STS-B", documents, [Query(a, frozenset(found)) for a, found in wanted.items()])


def tips(data: Path) -> Task:
    """The first clause of a tip asks for the rest of it, among the rests of all tips."""
    documents, queries = [], []
    for tip in _lines(data / "tips" / "ace_appworld_offline_bullets.jsonl"):
        head, _, rest = re.sub(r"\s+", " ", tip["text"]).partition(": ")
        if len(head.split()) >= 3 and len(rest.split()) >= 8:
            queries.append(Query(head, frozenset({len(documents)})))
            documents.append(rest)
    return Task("tips", documents, queries)


def _pairs(data: Path) -> list[dict[str, Any]]:
    return _lines(data / "pairs" / "stsb_en_dev.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def quality(ranked: Iterable[tuple[Sequence[int], Query]]) -> Quality:
    """Of orders of documents, best first, each with the query it answers."""
    places = [
        next((place for place, row in enumerate(rows[:10], 1) if row in query.wanted), math.inf)
        for rows, query in ranked
    ]
    return Quality(
        sum(place <= 1 for place in places) / len(places),
        sum(place <= 5 for place in places) / len(places),
        sum(1 / place for place in places) / len(places),
    )


# --- by words ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexical:
    """One way to search by words; the defaults are how kaizen.store does it."""

    name: str
    tokenizer: str = text.FTS_TOKENIZER
    stopwords: bool = True
    camel: bool = True
    operator: str = " OR "

    def scores(self, task: Task) -> Scores:
        """BM25 of each document for each query, 0 where no word is in it."""
        fold = text.fold_text if self.camel else str.lower
        database = sqlite3.connect(":memory:")
        database.execute(f"CREATE VIRTUAL TABLE found USING fts5 (body, tokenize = '{self.tokenizer}')")
        database.executemany(
            "INSERT INTO found (rowid, body) VALUES (?, ?)",
            [(row, fold(document)) for row, document in enumerate(task.documents)],
        )
        scores = np.zeros((len(task.queries), len(task.documents)))
        for index, query in enumerate(task.queries):
            words = text.query_words(query.text) if self.camel and self.stopwords else self._words(query.text)
            match = self.operator.join(f'"{word}"' for word in words)
            rows = database.execute("SELECT rowid, -rank FROM found WHERE found MATCH ?", (match,))
            for row, score in rows:
                scores[index, row] = score
        return scores

    def _words(self, query: str) -> list[str]:
        fold = text.fold_text if self.camel else str.lower
        words = list(dict.fromkeys(re.findall(r"[^\W_]+", fold(query))))
        telling = [word for word in words if word not in text.STOPWORDS] if self.stopwords else words
        return (telling or words)[: text.MAX_QUERY_WORDS]


LEXICAL = (
    Lexical(name="as kaizen.store does it"),
    Lexical(name="all words must be there (AND)", operator=" AND "),
    Lexical(name="no stemming", tokenizer=PLAIN_TOKENIZER),
    Lexical(name="stopwords count", stopwords=False),
    Lexical(name="stopwords count, no stemming", stopwords=False, tokenizer=PLAIN_TOKENIZER),
    Lexical(name="camelCase is one word", camel=False),
)


# --- one order out of two ---------------------------------------------------------------------------------


def rrf(constant: int, dense_weight: float) -> Fusion:
    """Reciprocal ranks; documents without any of the words have no rank by words."""

    def fuse(lexical: Scores, dense: Scores) -> Scores:
        by_words = np.where(lexical > 0, (1 - dense_weight) / (constant + _ranks(lexical)), 0.0)
        return np.asarray(by_words + dense_weight / (constant + _ranks(dense)))

    return fuse


def convex(normalise: tuple[Callable[[Scores], Scores], Callable[[Scores], Scores]], alpha: float) -> Fusion:
    """`alpha` of the normalised dense score and the rest of the normalised lexical one."""
    of_lexical, of_dense = normalise

    def fuse(lexical: Scores, dense: Scores) -> Scores:
        return (1 - alpha) * of_lexical(lexical) + alpha * of_dense(dense)

    return fuse


def places(candidates: int, alpha: float) -> Fusion:
    """What `ranking.fuse_scores` does, for any weight and number of candidates a side."""

    def fuse(lexical: Scores, dense: Scores) -> Scores:
        by_words = np.where(_ranks(lexical) <= candidates, of_best(lexical), 0.0)
        least = np.sort(dense)[-min(candidates, len(dense))]
        meanings = np.clip((dense - least) / ((dense.max() - least) or 1.0), 0.0, 1.0)
        return np.asarray((1 - alpha) * by_words + alpha * meanings)

    return fuse


def _ranks(scores: Scores) -> Scores:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def of_best(scores: Scores) -> Scores:
    return scores / scores.max() if scores.max() > 0 else scores


def min_max(scores: Scores) -> Scores:
    return np.asarray((scores - scores.min()) / (np.ptp(scores) or 1.0))


def z_score(scores: Scores) -> Scores:
    return np.asarray((scores - scores.mean()) / (scores.std() or 1.0))


def as_is(scores: Scores) -> Scores:
    return scores


NORMS = {
    "share of the best": (of_best, of_best),
    "min-max": (min_max, min_max),
    "z-score": (z_score, z_score),
    "share of the best word score, cosine as it is": (of_best, as_is),
}
WEIGHTS = [round(0.1 * step, 1) for step in range(1, 10)]
FUSIONS: dict[tuple[str, float], Fusion] = {
    **{(f"RRF, k={k}", weight): rrf(k, weight) for k in (10, 20, 60) for weight in WEIGHTS},
    **{
        (f"share of the best, place among {count}", alpha): places(count, alpha)
        for count in (20, 50, 100, 200)
        for alpha in WEIGHTS
    },
    **{(f"{name}", alpha): convex(norm, alpha) for name, norm in NORMS.items() for alpha in WEIGHTS},
}


def as_shipped(lexical: Scores, dense: Scores, least_cosine: float) -> list[int]:
    """Return the first ten hits as `ranking.fuse_scores` orders the candidates of both sides."""
    wanted = ranking.candidate_count(10)
    words = {row: float(lexical[row]) for row in _first(lexical, wanted) if lexical[row] > 0}
    meanings = {row: float(dense[row]) for row in _first(dense, wanted)}
    return list(ranking.fuse_scores(words, meanings, least_cosine=least_cosine))[:10]


def by_words(lexical: Scores) -> list[int]:
    return [row for row in _first(lexical, 10) if lexical[row] > 0]


def _first(scores: Scores, count: int) -> list[int]:
    return np.argsort(-scores, kind="stable")[:count].tolist()


# --- the tables -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """The tasks, and what each side scores all documents for each query."""

    tasks: Sequence[Task]
    lexical: dict[str, Scores]
    dense: dict[tuple[str, str], Scores]
    least_cosines: dict[str, float]

    def pairs(self) -> list[tuple[str, Task]]:
        return [(embedder, task) for embedder in EMBEDDERS for task in self.tasks]

    def fused(self, fusion: Fusion, half: int) -> list[Quality]:
        """For each embedder and task; half 0 is to choose on, half 1 to report on."""
        return [
            quality(
                (
                    _first(
                        fusion(self.lexical[task.name][index], self.dense[embedder, task.name][index]), 10
                    ),
                    task.queries[index],
                )
                for index in task.halves()[half]
            )
            for embedder, task in self.pairs()
        ]


def measure(data: Path) -> Bench:
    tasks = [metatool(data), sts_retrieval(data), tips(data)]
    for task in tasks:
        print(f"{task.name}: {len(task.documents)} documents, {len(task.queries)} queries")
    pairs = _pairs(data)
    dense, least_cosines = {}, {}
    for name in EMBEDDERS:
        embedder = load_embedder(name)
        assert embedder is not None
        least_cosines[name] = ranking.least_cosine(embedder)
        for task in tasks:
            queries = embedder.embed([query.text for query in task.queries])
            dense[name, task.name] = (queries @ embedder.embed(task.documents).T).astype(np.float64)
        cosines = (embedder.embed([p["a"] for p in pairs]) * embedder.embed([p["b"] for p in pairs])).sum(
            axis=1
        )
        gold = np.array([pair["score"] for pair in pairs])
        print(f"{embedder.model}: Spearman on STS-B dev {spearman(cosines, gold):.3f}")
    return Bench(tasks, {task.name: LEXICAL[0].scores(task) for task in tasks}, dense, least_cosines)


def spearman(a: Scores, b: Scores) -> float:
    return float(np.corrcoef(_mean_ranks(a), _mean_ranks(b))[0, 1])


def _mean_ranks(values: Scores) -> Scores:
    """Ranks from 1; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which])


def print_lexical(bench: Bench) -> None:
    _header("by words", [task.name for task in bench.tasks], "R@1", "R@5", "MRR@10")
    for lexical in LEXICAL:
        found = []
        for task in bench.tasks:
            scores = lexical.scores(task)
            rows = (by_words(scores[index]) for index in range(len(task.queries)))
            found.append(quality(zip(rows, task.queries, strict=True)))
        _row(lexical.name, found)


def print_sides(bench: Bench) -> None:
    """Words, meanings and both as shipped, on the half that nothing was chosen on."""
    _header("search", [task.name for task in bench.tasks], "R@1", "R@5", "MRR@10")
    halves = {task.name: task.halves()[1] for task in bench.tasks}

    def row(name: str, order: Callable[[Task, int], list[int]]) -> None:
        _row(
            name,
            [
                quality((order(task, index), task.queries[index]) for index in halves[task.name])
                for task in bench.tasks
            ],
        )

    row("words alone", lambda task, index: by_words(bench.lexical[task.name][index]))
    for name in EMBEDDERS:
        row(f"{name} alone", lambda task, index, name=name: _first(bench.dense[name, task.name][index], 10))
        for what, least in (("no cut-off", -1.0), ("as shipped", bench.least_cosines[name])):
            row(
                f"words and {name}, {what}",
                lambda task, index, name=name, least=least: as_shipped(
                    bench.lexical[task.name][index], bench.dense[name, task.name][index], least
                ),
            )


def print_fusions(bench: Bench, *, sweep: bool) -> None:
    """Each family at the weight that is best on the other half, by the mean over embedders and tasks."""
    names = [f"{embedder}, {task.name}" for embedder, task in bench.pairs()]
    _header("fusion | weight of meaning | mean, other half", names, "MRR@10")
    chosen: dict[str, list[tuple[float, float]]] = {}
    for (family, weight), fusion in FUSIONS.items():
        mean = float(np.mean([found.mrr_10 for found in bench.fused(fusion, 0)]))
        chosen.setdefault(family, []).append((mean, weight))
    for family, tried in chosen.items():
        for mean, weight in sorted(tried, reverse=True)[: None if sweep else 1]:
            reported = bench.fused(FUSIONS[family, weight], 1)
            cells = " | ".join(f"{found.mrr_10:.3f}" for found in reported)
            print(f"| {family} | {weight} | {mean:.4f} | {cells} |")


def _header(first: str, groups: Sequence[str], *measures: str) -> None:
    cells = [f"{group} {measure}" for group in groups for measure in measures]
    print(f"\n| {first} | {' | '.join(cells)} |")
    print("|" + "---|" * (len(cells) + first.count("|") + 1))


def _row(name: str, found: Sequence[Quality]) -> None:
    print(f"| {name} | {' | '.join(map(str, found))} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with retrieval, pairs and tips")
    parser.add_argument("--sweep", action="store_true", help="show all weights, not the best of each fusion")
    options = parser.parse_args()
    bench = measure(options.data)
    print_lexical(bench)
    print_sides(bench)
    print_fusions(bench, sweep=options.sweep)


if __name__ == "__main__":
    main()
