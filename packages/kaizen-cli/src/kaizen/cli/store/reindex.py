"""`kaizen store reindex`: bring the search index up to date."""

from __future__ import annotations

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    opened,
)
from kaizen.cli.output import counted, print_json
from kaizen.cli.ticker import Ticker
from kaizen.store import InvalidInputError, Reindexable


def reindex(
    namespace: NamespaceArgument = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Embed all entities that the present embedder (KAIZEN_EMBEDDER) has not embedded yet.

    A search embeds what is new on its own, so this is for after an import or a change of the embedder.
    """
    ticker = Ticker(quiet=json)
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        if not isinstance(store, Reindexable):
            raise InvalidInputError(
                f"the store {store.location} keeps no embeddings, so there is nothing to do"
            )
        embedded = store.reindex(
            namespace_id, progress=lambda done, total: ticker.say(f"{done} of {total} embedded")
        )
    if json:
        print_json({"namespace": namespace_id, "embedded": embedded})
    else:
        typer.echo(f"Embedded {counted(embedded, 'entity', 'entities')}.")
