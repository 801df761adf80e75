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
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kaizen.store import ranking, text
from kaizen.store.embedding import load_embedder

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
        spaced = text.spaced if self.camel else _unspaced
        database = sqlite3.connect(":memory:")
        database.execute(f"CREATE VIRTUAL TABLE found USING fts5 (body, tokenize = '{self.tokenizer}')")
        database.executemany(
            "INSERT INTO found (rowid, body) VALUES (?, ?)",
            [(row, spaced(document)) for row, document in enumerate(task.documents)],
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
        spaced = text.spaced(query) if self.camel else query
        words = list(dict.fromkeys(re.findall(r"[^\W_]+", spaced.lower())))
        telling = [word for word in words if word not in text.STOPWORDS] if self.stopwords else words
        return (telling or words)[: text.MAX_QUERY_WORDS]


def _unspaced(document: str) -> str:
    return document


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
    **{(f"convex, {name}", alpha): convex(norm, alpha) for name, norm in NORMS.items() for alpha in WEIGHTS},
}


def ordered(scores: Scores) -> list[int]:
    return np.argsort(-scores, kind="stable")[:10].tolist()


def as_shipped(lexical: Scores, dense: Scores, wanted: int) -> list[int]:
    """What `ranking.fuse` makes of the best `wanted` of each side."""
    best = {
        int(row): float(lexical[row]) for row in np.argsort(-lexical, kind="stable")[:wanted] if lexical[row] > 0
    }
    near = {int(row): float(dense[row]) for row in np.argsort(-dense, kind="stable")[:wanted]}
    return list(ranking.fuse(best, near))[:10]
