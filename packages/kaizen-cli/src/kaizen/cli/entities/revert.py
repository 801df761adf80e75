"""`kaizen entities revert`: undo commits, or what a run contributed."""

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
    ReasonOption,
    opened,
)
from kaizen.cli.output import one_line, print_json
from kaizen.store import plan_revert
from kaizen.tips import revert_tips


def revert(
    namespace: NamespaceArgument = None,
    commit: Annotated[
        list[str] | None, typer.Option("--commit", help="Id of a commit to undo; may be given several times.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Take out what this run contributed, and keep the rest.")
    ] = None,
    reason: ReasonOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also give up what other commits did to the same entities since.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Undo commits, or what a run contributed, by one new commit, which can be undone like any other.

    With --commit every entity they touched gets the state it had before. If other commits touched one of them
    since, nothing is undone and they are named, unless `--force` is given.

    With --run the evidence that a sync found is taken out, and the tips that nothing else backs; what others
    contributed stays. The next sync reads the traces of that run again.
    """
    if bool(commit) == bool(run):
        raise typer.BadParameter("give either --commit, once or more, or --run", param_hint="--commit")
    actor = "kaizen entities revert"
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        if run:
            # Only this needs the sync, which takes longer to import than the store.
            from kaizen.sync import undo_run

            undone = undo_run(store, namespace_id, run, dry_run=dry_run, actor=actor, reason=reason or "")
            done, changes, given_up = undone.commit, undone.changes, tuple[str, ...]()
            kept, what = undone.kept, f"run {one_line(run)}"
        else:
            plan = plan_revert(store, namespace_id, commit_ids=commit or (), force=force)
            done = (
                None if dry_run else revert_tips(store, namespace_id, plan, actor=actor, reason=reason or "")
            )
            changes, given_up, kept, what = plan.changes, plan.given_up, (), one_line(plan.reason)
    if json:
        value = {
            "namespace": namespace_id,
            "dry_run": dry_run,
            "commit_id": done and done.id,
            "version": done and done.version,
            "changes": [change_json(applied) for applied in changes],
            "given_up": list(given_up),
            "kept": list(kept),
        }
        print_json(value)
        return
    print_text(f"Would undo: {what}" if done is None else f"Undone by commit {done.id}: {what}")
    for applied in changes:
        print_change(applied)
        if applied.entity_id in given_up:
            print_text("      gives up what other commits did to it since", indent=6)
    for entity_id in kept:
        print_text(f"    kept {one_line(entity_id)}, which was changed since", indent=4)
