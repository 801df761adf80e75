"""`kaizen tips retire`: tips that agents shall not see any more."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, opened
from kaizen.cli.output import counted, print_json, print_note
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE


def retire(
    tips: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Ids of the tips, or beginnings of them that no others have."),
    ],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")] = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Take tips out of use: no agent sees them, and no sync learns them anew.

    They stay in the store with their evidence. All of one command are one commit, which can be undone.
    """
    from kaizen.tips.review import retire_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = {
            find.id: find for find in (find_entity(store, namespace_id, t, type=GUIDELINE) for t in tips)
        }
        commit = retire_tips(store, list(found.values()), reason=reason or "")
    if json:
        print_json({"namespace": namespace_id, "retired": list(found), "commit_id": commit.id})
    else:
        typer.echo(f"Retired {counted(len(found), 'tip')}.")
        print_note(f"To undo it: kaizen entities revert {namespace_id} --commit {commit.id}")
