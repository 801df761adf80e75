"""Measure how many refusals of real tools are recognised, and how many of them become a tip with the rule.

    python benchmarks/tool_errors.py            # the table of docs/explanation/quality.md
    python benchmarks/tool_errors.py --show build    # and what is missed, of the half to build on

Each row of data/tool_errors.jsonl is played as a run: a call, its result, and the corrected call.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kaizen.sync.generate.offline import mine_tips
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.model import Message, ToolCall, Trajectory

ROWS = Path(__file__).parent / "data" / "tool_errors.jsonl"
HALVES = ("build", "report")


def read_rows(half: str) -> list[dict[str, Any]]:
    rows = map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["half"] == half]


def as_run(row: dict[str, Any]) -> Trajectory:
    """Return the run of a row: the call, and the corrected one (or another, if it was not refused)."""
    calls = ((row["arguments"], row["result"]), (row["corrected"], row["succeeds"]))
    messages = [Message(role="user", content="Do what has to be done.")]
    for number, (arguments, result) in enumerate(calls):
        call = ToolCall(id=f"c{number}", name=row["tool"], arguments=json.dumps(arguments))
        messages.append(Message(role="assistant", tool_calls=(call,)))
        messages.append(Message(role="tool", content=result, tool_call_id=call.id))
    return Trajectory(trace_id="t", messages=tuple(messages))


def refused(row: dict[str, Any]) -> tuple[bool, bool]:
    """Return which of the two calls of a row is taken for refused."""
    [log] = call_logs(as_run(row))
    first, second = (call.failure is not None for call in log.calls)
    return first, second


def has_rule(row: dict[str, Any]) -> bool:
    """Return whether a tip holds the words that tell the rule."""
    return any(row["keeps"].casefold() in tip.content.casefold() for tip in mine_tips(as_run(row)))


def table_row(half: str, rows: Sequence[dict[str, Any]]) -> str:
    errors = [row for row in rows if row.get("is_error", True)]
    others = [row for row in rows if not row.get("is_error", True)]
    sources = len({row["source"] for row in rows})
    found = sum(refused(row)[0] for row in errors)
    marks = sum(map(sum, map(refused, others))) + sum(refused(row)[1] for row in errors)
    successes = 2 * len(others) + len(errors)
    with_rule = sum(map(has_rule, errors))
    shares = (f"{found} of {len(errors)}", f"{marks} of {successes}", f"{with_rule} of {len(errors)}")
    return f"| {half} | {sources} | {' | '.join(shares)} |"


def missed(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        if not row.get("is_error", True):
            if any(refused(row)):
                yield f"MARKED {row['source']} {row['result'][:200]}"
        elif not refused(row)[0] or refused(row)[1]:
            yield f"UNSEEN {row['source']} {row['result'][:200]}"
        elif not has_rule(row):
            tips = [tip.content for tip in mine_tips(as_run(row))]
            yield f"NO RULE {row['source']} {row['result'][:160]}: {row['keeps']!r} not in {tips}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", choices=HALVES, help="print what is missed of that half")
    show = parser.parse_args().show
    print("| half | sources | refusals recognised | successes taken for one | a tip with the rule |")
    print("|---|---:|---:|---:|---:|")
    for half in HALVES:
        print(table_row(half, read_rows(half)))
    if show:
        print(*missed(read_rows(show)), sep="\n")


if __name__ == "__main__":
    main()
