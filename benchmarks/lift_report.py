"""The tables of the lift benchmark: shares and means with their intervals, by arm and by family."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lift_tips import PLACES, as_list, tips_for

if TYPE_CHECKING:
    from kaizen.demo.world.agent import Attempt
    from kaizen.demo.world.family import Family
    from kaizen.tips import StoredTip

HELPED = 0.2  # so many more first tries of a family
Z = 1.96
ARM_HEADERS = ["given", "tasks", "first try", "success", "errors a task", "calls a task", "tokens a task"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """An attempt, with the group of families and the arm that it belongs to."""

    group: str
    arm: str
    attempt: Attempt


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that the tables are made of. `later` is what was measured after rules had changed."""

    families: Sequence[tuple[str, Family]]
    arms: Sequence[str]
    results: Sequence[Result]
    later: Sequence[Result]
    wordings: Mapping[str, Sequence[StoredTip]]


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share."""
    share, square = hits / count, Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return middle - half, middle + half


def bootstrap(values: Sequence[float], *, rounds: int = 500) -> tuple[float, float]:
    """Return the 95% percentile interval of a mean; the same values give the same interval."""
    chosen = random.Random(0)
    means = sorted(statistics.fmean(chosen.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(rounds * 0.025)], means[int(rounds * 0.975)]


def share_of(flags: Sequence[bool]) -> str:
    low, high = wilson(sum(flags), len(flags))
    return f"{sum(flags) / len(flags):.0%} ({low:.0%}-{high:.0%})"


def mean_of(values: Sequence[float], digits: int) -> str:
    low, high = bootstrap(values)
    return f"{statistics.fmean(values):,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def arm_rows(results: Sequence[Result]) -> Iterator[list[str]]:
    """Yield a row for each arm: shares and means, each with its interval."""
    for arm in dict.fromkeys(result.arm for result in results):
        made = [result.attempt for result in results if result.arm == arm]
        yield [
            arm,
            str(len(made)),
            share_of([one.is_first_try for one in made]),
            share_of([one.is_done for one in made]),
            mean_of([one.errors for one in made], 2),
            mean_of([one.calls for one in made], 2),
            mean_of([one.tokens for one in made], 0),
        ]


def first_tries(results: Sequence[Result], family: Family, arm: str) -> float:
    flags = [r.attempt.is_first_try for r in results if r.arm == arm and r.attempt.task.family is family]
    return sum(flags) / len(flags) if flags else math.nan


def family_rows(measured: Measured) -> Iterator[list[str]]:
    """Yield a row for each family: its tips, and its first tries in each arm."""
    for group, family in measured.families:
        tries = {arm: first_tries(measured.results, family, arm) for arm in measured.arms}
        best = max((share for arm, share in tries.items() if arm not in PLACES), default=math.nan)
        helped = best - tries.get("none", math.nan) >= HELPED
        tips = " / ".join(str(len(tips_for(family, tips))) for tips in measured.wordings.values())
        shares = (f"{share:.0%}" for share in tries.values())
        yield [family.name, group, tips, *shares, "yes" if helped else "no"]


def summary_rows(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield a row for each group, of the rows by family: for how many a tip was made, and helped."""
    for group in dict.fromkeys(row[1] for row in rows):
        families = [row for row in rows if row[1] == group]
        counts = [int(row[2].split(" / ")[0]) for row in families]
        with_tip, helped = sum(map(bool, counts)), sum(row[-1] == "yes" for row in families)
        shares = [f"{count} / {len(families)}" for count in (with_tip, helped)]
        yield [group, *shares, f"{statistics.fmean(counts):.1f}"]


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}\n")
    aligned = ["---" if number == 0 else "---:" for number in range(len(headers))]
    for line in (headers, aligned, *rows):
        print(f"| {' | '.join(line)} |")


def print_tables(measured: Measured) -> None:
    for group in dict.fromkeys(result.group for result in measured.results):
        results = [result for result in measured.results if result.group == group]
        count = len({result.attempt.task.family.name for result in results})
        print_table(f"{group.capitalize()}: {count} families.", ARM_HEADERS, [*arm_rows(results)])
    if measured.later:
        title = "After the rule has changed, in the families whose rule does; tips in the tool description."
        print_table(title, ARM_HEADERS, [*arm_rows(measured.later)])
    rows = [*family_rows(measured)]
    headers = ["families", "with a tip", "helped", "tips a family"]
    print_table(f"Families; helped: {HELPED:.0%} more first tries.", headers, [*summary_rows(rows)])
    wordings = " / ".join(measured.wordings)
    headers = ["family", "group", f"tips: {wordings}", *measured.arms, "helped"]
    print_table("First tries by family.", headers, rows)


def print_tips(measured: Measured) -> None:
    for name, tips in measured.wordings.items():
        for _, family in measured.families:
            print(f"\n{name} tips, {family.name}:\n{as_list([t.content for t in tips_for(family, tips)])}")


def as_json(measured: Measured) -> dict[str, Any]:
    """Return every attempt with all that was said in it, and the tips."""
    return {
        "attempts": [_attempt_json(result) for result in [*measured.results, *measured.later]],
        "tips": {name: [tip.content for tip in tips] for name, tips in measured.wordings.items()},
    }


def _attempt_json(result: Result) -> dict[str, Any]:
    made = result.attempt
    return {
        "group": result.group,
        "family": made.task.family.name,
        "arm": result.arm,
        "is_later": made.task.is_later,
        "first_try": made.is_first_try,
        "success": made.is_done,
        "errors": made.errors,
        "calls": made.calls,
        "tokens": made.tokens,
        "messages": made.messages,
    }
