"""Tips of known effect for the proof_world benchmark: learned, wrong and idle ones, and their snapshot."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lift_tips import NAMESPACE, Learner
from world_traces import MemoryTraces, trace_of

from kaizen.demo.world.agent import ModelAnswer, attempt
from kaizen.demo.world.development import FAMILIES
from kaizen.demo.world.held_out import HELD_OUT
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import OFFLINE
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.tips import StoredTip, recall_document

if TYPE_CHECKING:
    import argparse

    from kaizen.demo.world.agent import Messages, Tools
    from kaizen.demo.world.family import Family, PlannedCall

WORLD = {family.name: family for family in (*FAMILIES, *HELD_OUT)}
IDLE = {
    "refund_cents": "`refund_order` gives money back to the customer who placed the order.",
    "close_reason": "A ticket that `close_ticket` has closed can still be read.",
    "absolute_path": "`write_file` writes text files, no pictures.",
    "sql_limit": "`run_query` reads tables of the warehouse.",
    "currency_code": "`transfer_money` works on weekends too.",
}
"""What is true of the tool of a family, and changes nothing; the sync learns the rule of that tool."""
WRONG = {
    "flight_date": "Write `date` like 05JAN26 when calling `book_flight`",
    "tag_separator": "Write `tags` with `|` between its parts when calling `tag_issue`",
    "timeout_unit": "Multiply `timeout` by 1000 before calling `set_timeout`",
    "phone_form": "Write `to` like +436601234567 when calling `sms_send`",
    "iso_week": "Write `week` like 2026-W07 when calling `assign_duty`",
}
"""The opposite of the rule of a tool: what was right before the rule changed."""


def task_of(family: Family, seed: str) -> WorldTask:
    """Return a task by the rule that is in force in the runs: where a tip is wrong, the later one."""
    return WorldTask(family=family, seed=seed, is_later=family.name in WRONG)


def prepare(options: argparse.Namespace) -> None:
    """Write the store, the snapshot of its tips, and the truth about them."""
    options.dir.mkdir(parents=True, exist_ok=True)
    with open_store(StoreSettings(data_dir=options.dir / "store")) as store:
        learned = _learn(store, options.learn_runs, options.seed)
        made = [_tip(WORLD[name], "idle", text) for name, text in IDLE.items()]
        made += [_tip(WORLD[name], "harms", _with_error(WORLD[name], text)) for name, text in WRONG.items()]
        changes = [change for tip in made for change in tip.to_changes()]
        store.commit(NAMESPACE, changes, actor="proof_world", reason="tips of known effect")
        truth = {tip.id: "helps" for tip in learned} | {tip.id: tip.id.split("-")[0] for tip in made}
        document = _with_p(json.loads(recall_document(store, NAMESPACE)), set(truth), options.p)
    (options.dir / "snapshot.json").write_text(json.dumps(document))
    known = {tip.id: {"truth": truth[tip.id], "content": tip.content} for tip in (*learned, *made)}
    (options.dir / "truth.json").write_text(json.dumps(known, indent=1))
    counts = ", ".join(f"{number} {word}" for word, number in Counter(truth.values()).items())
    print(f"{len(truth)} tips ({counts}); each is held out from {options.p:.0%} of the units that it fits.")


def _learn(store: Store, runs: int, seed: str) -> list[StoredTip]:
    """Let the sync learn from attempts; return, of each family, the best backed tip that tells its rule."""
    traces = MemoryTraces()
    tasks = [task_of(WORLD[name], f"{seed} learned {number}") for name in IDLE for number in range(runs)]
    traces.record_all([partial(attempt, task, RulesPlayer(task)) for task in tasks])
    tips = Learner(store, traces, OFFLINE, concurrency=8).learn()
    found = {name: _about(WORLD[name], tips) for name in IDLE}
    if missing := [name for name, tip in found.items() if tip is None]:
        raise SystemExit(f"no tip was learned for {', '.join(missing)}: use more --learn-runs")
    return [tip for tip in found.values() if tip]


def _about(family: Family, tips: Sequence[StoredTip]) -> StoredTip | None:
    return next((tip for tip in tips if tip.signature.get("tool") == family.rule.tool), None)


def _tip(family: Family, truth: str, content: str) -> StoredTip:
    """Return a tip as a person would add it, about the refusal of the tool as it is in the runs."""
    signature = {"tool": family.rule.tool, "error": _error(family)}
    metadata = {"status": "active", "category": "strategy", "creation_mode": "manual", "signature": signature}
    return StoredTip(id=f"{truth}-{family.name}", content=content, metadata=metadata)


def _error(family: Family) -> str:
    """Return the template of the tool's refusal, as the sync reads it from a trace where it does."""
    task = task_of(family, "error")
    # The first guess is refused; after a change, what was right before.
    fix = family.rule.fix if task.is_later else {}
    guess = next(made for made in family.plan if made.tool == family.rule.tool)
    refused = attempt(task, _Caller(replace(guess, arguments={**guess.arguments, **fix}), task))
    log = call_logs(build_trajectory(trace_of(refused, 0)))[0]
    found = (log.error(called) for called in log.calls if called.failure)
    return next(found, re.sub(r"\$\w+", "…", task.rule.error))


class _Caller:
    """A model that makes one call."""

    def __init__(self, planned: PlannedCall, task: WorldTask) -> None:
        self._function = {"name": planned.tool, "arguments": json.dumps(task.arguments(planned))}

    def __call__(self, messages: Messages, _tools: Tools) -> ModelAnswer:
        message: dict[str, Any] = {"role": "assistant", "content": "Done."}
        if messages[-1]["role"] == "user":
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": self._function}]
        return ModelAnswer(message=message, tokens=0)


def _with_error(family: Family, text: str) -> str:
    return f'{text}: otherwise it refuses with "{_error(family)}".'


def _with_p(document: dict[str, Any], tip_ids: set[str], p: float) -> dict[str, Any]:
    """Return the snapshot with these tips alone, each held out with the probability p."""
    tips = [{**tip, "p": p} for tip in document["tips"] if tip["id"] in tip_ids]
    text = json.dumps(tips, sort_keys=True, separators=(",", ":"))
    return {**document, "digest": hashlib.sha256(text.encode()).hexdigest(), "tips": tips}
