"""`kaizen sync status` and `kaizen sync retry`: how far syncs have come, and what they gave up."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, store_settings
from kaizen.cli.output import one_line, print_json, print_table
from kaizen.store import NotFoundError, Put, open_store

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
    where = store_settings(backend, data_dir, namespace)
    with open_store(where) as store:
        checkpoints = list(_checkpoints(store, where.namespace_id))
        runs = list(deque(_runs(store, where.namespace_id), maxlen=_RUNS))
        failed = [_failure(entity) for entity in _failed(store, where.namespace_id)]
    if json:
        print_json(
            {"namespace": where.namespace_id, "checkpoints": checkpoints, "runs": runs, "failed": failed}
        )
        return
    print_table(
        ["PROJECT", "TRACES", "WAITING", "ENDED"],
        [
            [c["project"], str(sum(c["states"].values())), str(c["deferred"]), _counts(c["states"])]
            for c in checkpoints
        ],
    )
    typer.echo()
    print_table(
        ["RUN", "STATE", "PROJECT", "TOKENS", "USD", "PROCESSED", "OUTCOMES UPDATED"],
        [
            [
                run["started_at"][:19],
                run["state"],
                run["project"],
                str(run["model"]["prompt_tokens"] + run["model"]["completion_tokens"]),
                "unknown" if run["model"]["cost_usd"] is None else f"{run['model']['cost_usd']:.4f}",
                _counts(run["processed"]),
                str(run.get("outcomes", {}).get("updated", 0)),
            ]
            for run in runs
        ],
    )
    for failure in failed:
        typer.echo(
            f"failed: trace {failure['trace_id']} of {one_line(failure['project'])} "
            f"(attempt {failure['attempts']}): {one_line(failure['reason'])}"
        )


def retry(
    trace: Annotated[
        list[str] | None, typer.Argument(metavar="[TRACE]...", help="Ids of the traces; all that failed.")
    ] = None,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Let the next sync try failed traces again.

    Also those that failed so often that they were left alone.
    """
    where = store_settings(backend, data_dir, namespace)
    retried: list[str] = []
    with open_store(where) as store:
        for entity in _failed(store, where.namespace_id):
            trace_id = str(entity.metadata["trace_id"])
            if trace and trace_id not in trace:
                continue
            metadata = {**entity.metadata, "attempts": 0}
            put = Put(id=entity.id, type=entity.type, content=entity.content, metadata=metadata)
            store.commit(
                where.namespace_id,
                [put],
                expected={entity.id: entity.revision},
                actor="kaizen sync retry",
                reason=f"trace {trace_id} is tried again",
            )
            retried.append(trace_id)
    if trace and (missing := set(trace) - set(retried)):
        raise NotFoundError(
            f"no failed trace {', '.join(sorted(missing))} in namespace '{where.namespace_id}'; "
            "`kaizen sync status` lists those there are",
            namespace_id=where.namespace_id,
            entity_id=min(missing),
        )
    if json:
        print_json({"namespace": where.namespace_id, "retried": retried})
    else:
        typer.echo(f"The next sync tries {len(retried)} failed traces again.")


def _checkpoints(store: Store, namespace_id: str) -> Iterator[dict[str, Any]]:
    from kaizen.sync.state.ledger import Ledger

    for entity in store.iterate(namespace_id, type="checkpoint"):
        source, project = str(entity.metadata["source"]), str(entity.metadata["project"])
        ledger = Ledger(store, namespace_id, source, project)
        states: dict[str, int] = {}
        for counted_state, traces in ledger.state_counts.items():
            if traces:
                states[counted_state.state] = states.get(counted_state.state, 0) + traces
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


def _failed(store: Store, namespace_id: str) -> Iterator[Entity]:
    return store.iterate(namespace_id, type="trajectory", where={"state": "failed"})


def _failure(entity: Entity) -> dict[str, Any]:
    return {key: entity.metadata[key] for key in ("project", "trace_id", "attempts", "reason")}


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)
