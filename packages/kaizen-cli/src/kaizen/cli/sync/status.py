"""`kaizen sync status` and `kaizen sync retry`: how far syncs have come, and what they gave up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, store_settings
from kaizen.cli.output import one_line, print_json, print_table
from kaizen.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping


def status(
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show how far syncs have come.

    Lists each project's checkpoint and counts, the last runs with their cost, and the traces that failed.
    """
    from kaizen.sync import sync_status

    where = store_settings(backend, data_dir, namespace)
    with open_store(where) as store:
        found = sync_status(store, where.namespace_id)
    if json:
        print_json(found.to_json())
        return
    print_table(
        ["PROJECT", "TRACES", "WAITING", "ENDED"],
        [
            [one.project, str(sum(one.states.values())), str(one.deferred), _counts(one.states)]
            for one in found.projects
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
            for run in found.runs
        ],
    )
    for failure in found.failed:
        typer.echo(
            f"failed: trace {failure.trace_id} of {one_line(failure.project)} "
            f"(attempt {failure.attempts}): {one_line(failure.reason)}"
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
    from kaizen.sync import retry_failed

    where = store_settings(backend, data_dir, namespace)
    with open_store(where) as store:
        retried = retry_failed(store, where.namespace_id, trace or ())
    if json:
        print_json({"namespace": where.namespace_id, "retried": retried})
    else:
        typer.echo(f"The next sync tries {len(retried)} failed traces again.")


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)
