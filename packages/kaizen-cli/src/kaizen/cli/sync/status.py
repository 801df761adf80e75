"""`kaizen sync status`: how far syncs have come, what they cost, and what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.cli.drawing import print_table, print_text
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import one_line, print_json, print_note
from kaizen.cli.times import local_time

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

    with opened(backend, data_dir, namespace) as (store, namespace_id):
        found = sync_status(store, namespace_id)
    if json:
        print_json(found.to_json())
        return
    if not found.projects and not found.runs:
        print_note("No sync has run here yet: kaizen sync phoenix")
        return
    print_table(
        ["PROJECT", "TRACES", "WAITING", "STATES"],
        [
            [one.project, str(sum(one.states.values())), str(one.deferred), _counts(one.states)]
            for one in found.projects
        ],
    )
    print_text("")
    print_table(
        ["RUN", "STATE", "PROJECT", "TOKENS", "USD", "PROCESSED"], [_cells(run) for run in found.runs]
    )
    for failure in found.failed:
        print_text(
            f"failed: trace {failure.trace_id} of {one_line(failure.project)} "
            f"(attempt {failure.attempts}): {one_line(failure.reason)}",
            indent=8,
        )


def _cells(run: Mapping[str, Any]) -> list[str]:
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


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)
