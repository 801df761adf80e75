"""What the commands share that change several tips, named by their ids, in one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.output import counted, print_json, print_undo
from kaizen.store import find_entity
from kaizen.tips import GUIDELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.store import Commit, Entity, Store

TipIdsArgument = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Ids of the tips, or beginnings of them that no others have."),
]


def find_tips(store: Store, namespace_id: str, prefixes: Sequence[str]) -> list[Entity]:
    """Return the tips with these ids, or beginnings of ids, each once; raises as `find_entity` does."""
    found = (find_entity(store, namespace_id, prefix, type=GUIDELINE) for prefix in prefixes)
    return list({entity.id: entity for entity in found}.values())


def print_changed(
    done: str, namespace_id: str, tips: Sequence[Entity], commit: Commit, *, json: bool
) -> None:
    """Print which tips were `done`, such as `pinned`, and how to undo it."""
    if json:
        print_json({"namespace": namespace_id, done: [tip.id for tip in tips], "commit_id": commit.id})
    else:
        typer.echo(f"{done.capitalize()} {counted(len(tips), 'tip')}.")
        print_undo(namespace_id, commit.id)
