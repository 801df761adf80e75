"""Check the verdicts of `kaizen proof` on agents in kaizen.demo.world, where it is known what each tip does.

    python benchmarks/proof_world.py prepare DIR
    python benchmarks/proof_world.py run DIR                 # an agent played by rules, no model
    python benchmarks/proof_world.py run DIR --base-url http://127.0.0.1:18080/v1 --model NAME --workers 64
    python benchmarks/proof_world.py judge DIR --phoenix .venvs/phoenix/bin/phoenix

`prepare` makes a store and a snapshot of 15 tips: 5 that the sync learned from runs in the world, 5 that tell
the rule of a tool wrongly, and 5 that are true and of no use. In `run`, each agent is a session of its own;
kaizen.recall gives it tips, and holds each of them out with the probability `--p`. Its spans are written to
DIR as OTLP JSON, a request a line. `judge` sends them to a real Phoenix, with the success of each run as an
annotation, calls `kaizen sync phoenix` and `kaizen proof`, and compares the verdicts with the truth. The
steps may run on different machines.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift import RULES, endpoint
from lift_tips import NAMESPACE
from proof_world_tips import IDLE, WORLD, WRONG, prepare, task_of
from proof_world_verdicts import judge
from world_traces import PROJECT, outcome_of, trace_of

from kaizen.demo.world.agent import SYSTEM_PROMPT, Attempt, ChatModel, attempt
from kaizen.demo.world.player import RulesPlayer
from kaizen.recall import recall

if TYPE_CHECKING:
    from kaizen.sync.sources import Span


def run(options: argparse.Namespace) -> None:
    """Let agents work, and write their spans and outcomes."""
    os.environ["KAIZEN_RECALL_FROM"] = str((options.dir / "snapshot.json").absolute())
    os.environ |= {"KAIZEN_NAMESPACE_ID": NAMESPACE, "KAIZEN_RECALL_TIMEOUT": "30"}
    who = f"the model {options.model}" if options.base_url else RULES
    print(f"{options.units:,} units by {who}.", flush=True)
    model = endpoint(options) if options.base_url else None
    deadline = time.monotonic() + options.seconds
    begun, done = time.perf_counter(), Counter[str]()
    work = partial(_work, options.seed, model, deadline)
    with (
        (options.dir / "requests.jsonl").open("w") as requests,
        (options.dir / "outcomes.jsonl").open("w") as outcomes,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        for worked in pool.map(work, range(options.units)):
            done["not begun" if worked is None else "lost" if worked[0] is None else "units"] += 1
            if worked and worked[0]:
                requests.write(json.dumps(worked[0], separators=(",", ":")) + "\n")
                outcomes.write(json.dumps(worked[1]) + "\n")
    told = ", ".join(f"{number:,} {word}" for word, number in done.items())
    print(f"{told}; {time.perf_counter() - begun:.1f} s, {time.process_time():.1f} s of CPU")


def _work(
    seed: str, model: ChatModel | None, deadline: float, number: int
) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
    """Do one unit; return its request and outcome, None after the deadline. The families take turns."""
    if time.monotonic() > deadline:
        return None
    families = [*IDLE, *WRONG]
    task = task_of(WORLD[families[number % len(families)]], f"{seed} unit {number // len(families)}")
    unit = f"unit-{seed}-{number}"
    schemas = [tool.schema for tool in task.family.tools]
    recalled = recall(task.text, schemas, instructions=SYSTEM_PROMPT, unit=unit)
    if not recalled.p:
        raise SystemExit("recall gave nothing: is there a snapshot of the namespace?")
    system = f"{SYSTEM_PROMPT}\n\n{recalled.text}".strip()
    notes = {name: f"\n\n{note}" for name, note in recalled.notes.items()}
    try:
        made = attempt(task, model or RulesPlayer(task), system=system, notes=notes)
    except Exception as error:
        print(f"{unit}: {error!r}", flush=True)
        return None, {}
    attributes = {**recalled.attributes(), "session.id": unit}
    spans = [_stamped(span, attributes) for span in trace_of(made, number).spans]
    told = {name: [tip.id for tip in getattr(recalled, name)] for name in ("shown", "held_out")}
    return _request(spans), {
        **_outcome(made),
        **told,
        "is_control": recalled.is_control,
        "trace_id": spans[0].trace_id,
    }


def _outcome(made: Attempt) -> dict[str, Any]:
    return {
        "family": made.task.family.name,
        "label": outcome_of(made).label,
        "is_first_try": made.is_first_try,
        "errors": made.errors,
        "calls": made.calls,
        "tokens": made.tokens,
    }


def _stamped(span: Span, attributes: Mapping[str, str]) -> Span:
    return replace(span, attributes={**span.attributes, "openinference.span.kind": span.kind, **attributes})


def _request(spans: Sequence[Span]) -> dict[str, Any]:
    """Return the spans as one request in OTLP's JSON encoding."""
    scope = {"scope": {"name": "proof_world"}, "spans": [_span_json(span) for span in spans]}
    resource = {"attributes": [_attribute("openinference.project.name", PROJECT)]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _span_json(span: Span) -> dict[str, Any]:
    parent = {"parentSpanId": span.parent_id} if span.parent_id else {}
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **parent,
        "name": span.name,
        "kind": 1,
        "startTimeUnixNano": str(int(span.start_time.timestamp() * 1e9)),
        "endTimeUnixNano": str(int(span.end_time.timestamp() * 1e9)),
        "attributes": [_attribute(key, value) for key, value in span.attributes.items()],
        "status": {"code": 1},
    }


def _attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": str(value)}}


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(required=True)
    for step in (prepare, run, judge):
        told = steps.add_parser(step.__name__, help=step.__doc__)
        told.set_defaults(step=step)
        told.add_argument("dir", type=Path)
        told.add_argument("--seed", default="1")
        if step is prepare:
            told.add_argument("--p", type=float, default=0.5, help="probability that a tip is held out")
            told.add_argument("--learn-runs", type=int, default=20, help="runs to learn from, a family")
        elif step is run:
            told.add_argument(
                "--base-url", help="an OpenAI-compatible endpoint; without one an agent is played"
            )
            told.add_argument("--model", help="the name of the model there")
            told.add_argument("--units", type=int, default=1_500)
            told.add_argument("--seconds", type=float, default=1e9, help="begin no unit after so long")
            told.add_argument("--workers", type=int, default=1, help="units at the same time")
            told.add_argument("--max-tokens", type=int, default=160, help="tokens of one answer")
        else:
            told.add_argument("--phoenix", type=Path, required=True, help="a Phoenix executable")
            told.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args(arguments)
    if bool(getattr(options, "base_url", None)) != bool(getattr(options, "model", None)):
        parser.error("--base-url and --model go together")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parsed(arguments)
    options.step(options)


if __name__ == "__main__":
    main()
