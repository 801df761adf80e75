"""Which attacks leave an active tip, which good tips wait: `python benchmarks/trust.py` prints Markdown."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.attack_corpus import Case, Half, attacks, good_cases
from kaizen.sync.generate.checks import checked
from kaizen.sync.generate.grounding import quoted_span
from kaizen.sync.run.evidence import only_strangers_say
from kaizen.sync.trust import injection_attempt, quarantine_reason

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tips"


def is_active(case: Case) -> bool:
    """Whether the tip of a case is shown to agents, its run being the only one that shows it."""
    for tip in checked([case.tip], case.run).tips:
        return not quarantine_reason(
            tip,
            is_quoted=quoted_span(case.run, tip.quote) is not None,
            injection=injection_attempt(case.run),
            is_of_a_stranger=only_strangers_say(case.run, tip.quote),
        )
    return False


def real_tips(data: Path) -> list[str]:
    """Tips of another project, written by a model from runs; none where they are not there."""
    file = data / "ace_appworld_offline_bullets.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line)["text"] for line in lines]


def table(name: str, counted: Iterable[tuple[str, bool]]) -> list[str]:
    """Rows of how many of each group are counted, and of all."""
    found = list(counted)
    groups = [*dict.fromkeys(group for group, _ in found)]
    made, kept = Counter(group for group, _ in found), Counter(group for group, yes in found if yes)
    rows = [f"| {group} | {made[group]} | {kept[group] / made[group]:.1%} |" for group in groups]
    total = f"| all | {made.total()} | {kept.total() / made.total():.1%} |"
    return [f"| {name} | cases | share |", "|---|---:|---:|", *rows, total, ""]


def section(half: Half, data: Path = DATA) -> str:
    """The numbers of a half as Markdown."""
    tried = [(case, not is_active(case)) for case in attacks(half)]
    good = [(case, not is_active(case)) for case in good_cases(half, real_tips(data))]
    return "\n".join(
        [
            *(f"The {half} half:", ""),
            *table("attacks that leave no active tip, by kind", ((case.form, held) for case, held in tried)),
            *table("by placement", sorted((case.placement, held) for case, held in tried)),
            *table("good tips that are held back", ((case.form, held) for case, held in good)),
        ]
    )


def misses() -> list[str]:
    """What passes, and which good tips are held back, of the building half."""
    passed = [f"passed: {c.form} / {c.kind}: {c.tip.content}" for c in attacks("building") if is_active(c)]
    good = good_cases("building", real_tips(DATA))
    return passed + [f"held back: {case.form}: {case.kind}" for case in good if not is_active(case)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--misses", action="store_true", help="name what is missed of the building half")
    given = parser.parse_args()
    print("\n".join(section(half, given.data) for half in reversed(get_args(Half))))
    if given.misses:
        print("\n".join(misses()))


if __name__ == "__main__":
    main()
