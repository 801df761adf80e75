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
from kaizen.store import Delete, find_entity


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
    """Delete entities, all of them or none; their history stays.

    The first word is the namespace if there is one of that name.
    """
    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        if in_namespace is None and len(words) > 1:
            namespace_id, words = split_namespace(store, words, namespace_id)
        ids = list(dict.fromkeys(find_entity(store, namespace_id, word).id for word in words))
        store.commit(
            namespace_id,
            [Delete(id=entity_id) for entity_id in ids],
            actor="kaizen entities delete",
            reason="deleted by hand",
        )
    if json:
        print_json({"namespace": namespace_id, "deleted": ids})
    else:
        typer.echo(f"Deleted {counted(len(ids), 'entity', 'entities')}.")
