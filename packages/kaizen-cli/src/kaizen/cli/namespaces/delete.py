"""`kaizen namespaces delete`: a namespace with all that is in it, for good."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, opened
from kaizen.cli.output import counted, print_json


def delete(
    namespace: Annotated[str, typer.Argument(metavar="NAMESPACE", help="Namespace of the store.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a namespace with all its entities and its history. This cannot be undone."""
    with opened(backend, data_dir, namespace) as (store, _):
        # Nobody is asked about a namespace that does not exist.
        store.get_namespace(namespace)
        entities = store.count(namespace)
        held = counted(entities, "entity", "entities")
        if not yes:
            typer.confirm(
                f"Delete namespace '{namespace}' with {held} and its history for good?",
                abort=True,
                err=True,
            )
        store.delete_namespace(namespace)
    if json:
        print_json({"id": namespace, "deleted_entities": entities})
    else:
        typer.echo(f"Deleted namespace '{namespace}' with {held}.")
