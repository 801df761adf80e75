"""`kaizen tips unpin`: tips that are measured again."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, ReasonOption, opened
from kaizen.cli.output import counted, print_json, print_undo
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE


def unpin(
    tips: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Ids of the tips, or beginnings of them that no others have."),
    ],
    reason: ReasonOption = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Pin tips no more: their effect is measured again, and what follows from it is done.

    All of one command are one commit, which can be undone.
    """
    from kaizen.tips import pin_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = {
            find.id: find for find in (find_entity(store, namespace_id, t, type=GUIDELINE) for t in tips)
        }
        commit = pin_tips(store, list(found.values()), pinned=False, reason=reason or "")
    if json:
        print_json({"namespace": namespace_id, "unpinned": list(found), "commit_id": commit.id})
    else:
        typer.echo(f"Unpinned {counted(len(found), 'tip')}.")
        print_undo(namespace_id, commit.id)
