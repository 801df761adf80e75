"""`kaizen namespaces create`: a new, empty namespace."""

from __future__ import annotations

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceArgument, opened
from kaizen.cli.output import print_json


def create(
    namespace: NamespaceArgument = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Create a namespace."""
    with opened(backend, data_dir, namespace) as (store, namespace_id):
        created = store.create_namespace(namespace_id)
    if json:
        print_json(
            {"id": created.id, "created_at": created.created_at.isoformat(), "version": created.version}
        )
    else:
        typer.echo(f"Created namespace '{created.id}'.")
