"""`kaizen entities revert`: undo commits, or all commits of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.drawing import print_text
from kaizen.cli.entities.history import change_json, print_change
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    opened,
)
from kaizen.cli.output import one_line, print_json
from kaizen.store import apply_revert, plan_revert


def revert(
    namespace: NamespaceArgument = None,
    commit: Annotated[
        list[str] | None, typer.Option("--commit", help="Id of a commit to undo; may be given several times.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Undo all commits of this run.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also give up what other commits did to the same entities since.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Undo commits, or all of a run, by one new commit, which can be undone like any other.

    Every entity they touched gets the state it had before. Where other commits touched one of them since,
    nothing is undone and they are named, unless `--force` is given. The records of traces are entities too:
    undo a sync, and the next one reads its traces again.
    """
    if bool(commit) == bool(run):
        raise typer.BadParameter("give either --commit, once or more, or --run", param_hint="--commit")
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        plan = plan_revert(store, namespace_id, commit_ids=commit or (), run_id=run or None, force=force)
        actor = "kaizen entities revert"
        done = None if dry_run else apply_revert(store, namespace_id, plan, actor=actor, reason=reason or "")
    if json:
        value = {
            "namespace": namespace_id,
            "dry_run": dry_run,
            "commit_id": done and done.id,
            "version": done and done.version,
            "changes": [change_json(applied) for applied in plan.changes],
            "given_up": list(plan.given_up),
        }
        print_json(value)
        return
    what = one_line(plan.reason)
    print_text(f"Would undo: {what}" if done is None else f"Undone by commit {done.id}: {what}")
    given_up = set(plan.given_up)
    for applied in plan.changes:
        print_change(applied)
        if applied.entity_id in given_up:
            print_text("      gives up what other commits did to it since", indent=6)
