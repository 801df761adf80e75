"""`kaizen sync status`: how far syncs have come, what they cost, and what failed."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kaizen.cli.drawing import print_table, print_text
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import one_line, print_json, print_note
from kaizen.cli.times import local_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store import Entity, Store

_RUNS = 10


def status(
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show how far syncs have come.

    Lists each project's checkpoint and counts, the last runs with their cost, and the traces that failed.
    """
    with opened(backend, data_dir, namespace) as (store, namespace_id):
        checkpoints = list(_checkpoints(store, namespace_id))
        runs = list(deque(_runs(store, namespace_id), maxlen=_RUNS))
        failed = [_failure(entity) for entity in failed_traces(store, namespace_id)]
    if json:
        print_json({"namespace": namespace_id, "checkpoints": checkpoints, "runs": runs, "failed": failed})
        return
    if not checkpoints and not runs:
        print_note("No sync has run here yet: kaizen sync phoenix")
        return
    print_table(
        ["PROJECT", "TRACES", "WAITING", "STATES"],
        [
            [c["project"], str(sum(c["states"].values())), str(c["deferred"]), _counts(c["states"])]
            for c in checkpoints
        ],
    )
    print_text("")
    print_table(["RUN", "STATE", "PROJECT", "TOKENS", "USD", "PROCESSED"], [_cells(run) for run in runs])
    for failure in failed:
        print_text(
            f"failed: trace {failure['trace_id']} of {one_line(failure['project'])} "
            f"(attempt {failure['attempts']}): {one_line(failure['reason'])}",
            indent=8,
        )


def _cells(run: dict[str, Any]) -> list[str]:
    model, updated = run["model"], run.get("outcomes", {}).get("updated", 0)
    return [
        local_time(run["started_at"]),
        run["state"],
        run["project"],
        str(model["prompt_tokens"] + model["completion_tokens"]),
        "unknown" if model["cost_usd"] is None else f"{model['cost_usd']:.4f}",
        ", ".join(
            filter(None, (_counts(run["processed"]), f"{updated} outcomes updated" if updated else ""))
        ),
    ]


def _checkpoints(store: Store, namespace_id: str) -> Iterator[dict[str, Any]]:
    from kaizen.sync.state.ledger import Ledger

    for entity in store.iterate(namespace_id, type="checkpoint"):
        source, project = str(entity.metadata["source"]), str(entity.metadata["project"])
        ledger = Ledger(store, namespace_id, source, project)
        states: dict[str, int] = {}
        for ending, traces in ledger.endings.items():
            if traces:
                states[ending.state] = states.get(ending.state, 0) + traces
        yield {
            "source": source,
            "project": project,
            "states": states,
            "deferred": ledger.checkpoint.deferred,
            "server_version": ledger.checkpoint.server_version,
            "updated_at": entity.updated_at.isoformat(),
        }


def _runs(store: Store, namespace_id: str) -> Iterator[dict[str, Any]]:
    from kaizen.sync.state.records import Claim

    now = datetime.now(UTC)
    claims = map(Claim.of, store.iterate(namespace_id, type="claim"))
    at_work = {claim.run_id for claim in claims if claim.holds(now)}
    for entity in store.iterate(namespace_id, type="run"):
        run = dict(entity.metadata)
        # Older records say nothing; those runs were recorded when they ended.
        has_ended = run.pop("ended", True)
        run["state"] = "ended" if has_ended else "running" if run["run_id"] in at_work else "broke off"
        yield run


def failed_traces(store: Store, namespace_id: str) -> Iterator[Entity]:
    """Read the records of the traces that failed."""
    return store.iterate(namespace_id, type="trajectory", where={"state": "failed"})


def _failure(entity: Entity) -> dict[str, Any]:
    return {key: entity.metadata[key] for key in ("project", "trace_id", "attempts", "reason")}


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)
