"""An experiment to look at: an agent without a model plays a small world, with and without tips."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kaizen.demo.world.agent import Attempt, attempt
from kaizen.demo.world.development import FAMILIES
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask
from kaizen.demo.world.traces import MemorySource, outcome_of, trace_id_of, trace_of
from kaizen.recall.choosing import Request
from kaizen.recall.recalled import NOTHING, Recalled, recall_from
from kaizen.recall.snapshots.document import read_document
from kaizen.recall.tools import offered_tools
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings
from kaizen.tips import recall_document

if TYPE_CHECKING:
    from kaizen.recall.model import Snapshot
    from kaizen.store import Store
    from kaizen.sync.sources import Annotation, Trace

PROJECT = "demo-office"
BETWEEN_RUNS = timedelta(minutes=31)


def play_experiment(
    store: Store,
    namespace_id: str,
    *,
    runs: int = 480,
    syncs: int = 8,
    span_url: Callable[[str, str], str] | None = None,
) -> None:
    """Let the agent make so many runs with the tips of its namespace, and sync several times meanwhile.

    The first runs have no tips to be shown; the last one ended just now.
    """
    traces: dict[str, Trace] = {}
    outcomes: dict[str, Annotation] = {}
    source = MemorySource(traces, outcomes, name="phoenix", project=PROJECT)
    models = ModelSettings(tips_model=OFFLINE, reconcile_model=OFFLINE)
    began = datetime.now(UTC) - runs * BETWEEN_RUNS
    snapshot: Snapshot | None = None
    for number in range(runs):
        task = WorldTask(family=FAMILIES[number % len(FAMILIES)], seed=str(number))
        recalled = _recalled(snapshot, task, number)
        made = _played(task, recalled)
        start = began + number * BETWEEN_RUNS
        trace = trace_of(made, number, stamps=recalled.attributes(), start=start)
        traces[trace.trace_id], outcomes[trace.trace_id] = trace, outcome_of(made)
        if (number + 1) % (runs // syncs) == 0:
            Sync(source, store, SyncSettings(namespace_id=namespace_id, quiet_s=0.0), models).run()
            document = recall_document(store, namespace_id)
            snapshot = read_document(document.encode(), namespace_id)


def _recalled(snapshot: Snapshot | None, task: WorldTask, number: int) -> Recalled:
    tools = offered_tools([tool.schema for tool in task.family.tools])
    if snapshot is None:
        return NOTHING
    return recall_from(snapshot, Request(task.text, tools=tools), unit=trace_id_of(number))


def _played(task: WorldTask, recalled: Recalled) -> Attempt:
    notes = {tool: f"\n\n{note}" for tool, note in recalled.notes.items()}
    player = RulesPlayer(task)
    return attempt(task, player, notes=notes)
