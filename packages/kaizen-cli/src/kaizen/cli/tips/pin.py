"""`kaizen tips pin`: tips that stay whatever is measured of them."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, ReasonOption, opened
from kaizen.cli.output import counted, print_json, print_undo
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE


def pin(
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
    """Pin tips: they are shown to every run that they fit, and no sync takes them out of use.

    A pinned tip is never held out, so that nothing more is learned of its effect. All of one command are one
    commit, which can be undone.
    """
    from kaizen.tips import pin_tips

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        found = {
            find.id: find for find in (find_entity(store, namespace_id, t, type=GUIDELINE) for t in tips)
        }
        commit = pin_tips(store, list(found.values()), pinned=True, reason=reason or "")
    if json:
        print_json({"namespace": namespace_id, "pinned": list(found), "commit_id": commit.id})
    else:
        typer.echo(f"Pinned {counted(len(found), 'tip')}.")
        print_undo(namespace_id, commit.id)
