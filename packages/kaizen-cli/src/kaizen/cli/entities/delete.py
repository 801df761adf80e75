"""`kaizen entities delete`: entities that nobody needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    opened,
    split_namespace,
)
from kaizen.cli.output import counted, print_json
from kaizen.store import find_entity
from kaizen.tips import deletion_of


def delete(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAMESPACE] ID...",
            help="Ids of the entities, or beginnings of them that no others have.",
        ),
    ],
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete entities, all of them or none; their history stays. A tip goes with its evidence.

    The first word is the namespace if there is one of that name.
    """
    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        if in_namespace is None and len(words) > 1:
            namespace_id, words = split_namespace(store, words, namespace_id)
        found = {find.id: find for find in (find_entity(store, namespace_id, word) for word in words)}
        changes = [change for entity in found.values() for change in deletion_of(store, namespace_id, entity)]
        ids = list(found)
        store.commit(
            namespace_id,
            # A tip and its evidence may both be named.
            list(dict.fromkeys(changes)),
            actor="kaizen entities delete",
            reason="deleted by hand",
        )
    if json:
        print_json({"namespace": namespace_id, "deleted": ids})
    else:
        typer.echo(f"Deleted {counted(len(ids), 'entity', 'entities')}.")
