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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.secret_formats import TIMES, Half, samples
from kaizen.sync import Redaction
from kaizen.sync.redact import Redactor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "trajectories"
SEEDS = 3


def found(half: Half) -> tuple[int, int, int]:
    """Families, samples, and how many of these lose the whole secret."""
    made = [sample for seed in range(SEEDS) for sample in samples(half, seed)]
    clean = sum(not sample.is_left_in(Redactor().text(sample.text)) for sample in made)
    return len({sample.family for sample in made}), len(made), clean


def misses() -> list[str]:
    """Formats of the building half that are missed; those of the reporting half are not to be looked at."""
    missed = [s.format for s in samples("building") if s.is_left_in(Redactor().text(s.text))]
    return [f"{count} of {TIMES}: {form}" for form, count in Counter(missed).most_common()]


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


def section(data: Path = DATA) -> str:
    """The numbers as Markdown."""
    lines = ["| secrets of formats | families | samples | found |", "|---|---:|---:|---:|"]
    for half, name in (
        ("reporting", "not looked at (reporting half)"),
        ("building", "built with (building half)"),
    ):
        families, made, clean = found(half)  # type: ignore[arg-type]
        lines.append(f"| {name} | {families} | {made} | {clean / made:.1%} |")
    lines += ["", "| real text | MB | redacted | per MB | MB/s |", "|---|---:|---|---:|---:|"]
    for name, (size, counts, seconds) in false_positives(data, Redaction()).items():
        said = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "none"
        rate = counts.total() / size * 1e6
        lines.append(f"| {name} | {size / 1e6:.2f} | {said} | {rate:.1f} | {size / 1e6 / seconds:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--misses", action="store_true", help="name what is missed of the building half")
    given = parser.parse_args()
    print(section(given.data))
    if given.misses:
        print("\n".join(["", *misses()]))


if __name__ == "__main__":
    main()
