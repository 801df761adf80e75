"""What redaction finds, and what it takes for a secret: `python benchmarks/redaction.py` prints Markdown."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from secret_corpus import samples

from kaizen.sync import Redaction
from kaizen.sync.redact import Redactor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "trajectories"
SEEDS = 5


def recall() -> tuple[Counter[str], Counter[str], list[str]]:
    """Samples and misses by kind, and where the misses are."""
    made: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    where: Counter[str] = Counter()
    for seed in range(SEEDS):
        for sample in samples(seed):
            made[sample.kind] += 1
            left = Redactor().text(sample.text)
            if any(part in left for part in _parts(sample.secret)):
                missed[sample.kind] += 1
                where[f"{sample.kind} / {sample.place}"] += 1
    return made, missed, [f"{name}: {n} of {SEEDS}" for name, n in where.most_common()]


def _parts(secret: str) -> Iterator[str]:
    """Pieces of a secret of which none may be left; a short one must go whole."""
    size = min(len(secret), 12)
    for start in range(0, len(secret) - size + 1, size):
        yield secret[start : start + size]


def clean_texts(data: Path) -> Iterator[tuple[str, str]]:
    """Texts of real runs, which hold no secret, by the name of their file."""
    for path in sorted(data.glob("*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            yield from ((path.name, text) for text in _texts(json.loads(line)["messages"]))
    for path in sorted(data.glob("atif_harbor/*.json")):
        yield from ((path.parent.name, text) for text in _texts(json.loads(path.read_text())))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def false_positives(data: Path, redaction: Redaction) -> dict[str, tuple[int, Counter[str], float]]:
    """Bytes, what was redacted, and seconds, by file."""
    sizes: Counter[str] = Counter()
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: defaultdict[str, float] = defaultdict(float)
    for name, text in clean_texts(data):
        redactor = Redactor(redaction)
        started = time.process_time()
        redactor.text(text)
        seconds[name] += time.process_time() - started
        sizes[name] += len(text.encode())
        counts[name] += redactor.counts
    return {name: (size, counts[name], seconds[name]) for name, size in sizes.items()}


def section(data: Path = DATA, *, misses: bool = False) -> str:
    """The numbers as Markdown."""
    made, missed, where = recall()
    total, lost = made.total(), missed.total()
    lines = [
        f"Synthetic secrets: {total} samples of {len(made)} kinds; found: {1 - lost / total:.1%}.",
        "",
        "| real runs without secrets | KB | redacted | a 100 KB | MB/s |",
        "|---|---|---|---|---|",
    ]
    for name, (size, counts, seconds) in false_positives(data, Redaction()).items():
        said = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "none"
        rate = counts.total() / size * 100_000
        lines.append(f"| {name} | {size / 1000:,.0f} | {said} | {rate:.2f} | {size / 1e6 / seconds:.1f} |")
    if misses:
        lines += ["", *where]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--misses", action="store_true", help="name what was missed")
    given = parser.parse_args()
    print(section(given.data, misses=given.misses))


if __name__ == "__main__":
    main()
