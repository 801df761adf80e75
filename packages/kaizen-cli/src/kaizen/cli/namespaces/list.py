"""`kaizen namespaces list`: the namespaces of the store."""

from __future__ import annotations

from kaizen.cli.drawing import print_table
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, opened
from kaizen.cli.output import print_json, print_note
from kaizen.cli.times import local_time


def list_namespaces(
    backend: BackendOption = None, data_dir: DataDirOption = None, json: JsonOption = False
) -> None:
    """List all namespaces."""
    with opened(backend, data_dir) as (store, _):
        namespaces = store.list_namespaces()
        rows = [(n.id, n.created_at, n.version) for n in namespaces]
    if json:
        print_json(
            {"namespaces": [{"id": i, "created_at": at.isoformat(), "version": v} for i, at, v in rows]}
        )
    elif rows:
        print_table(
            ["NAMESPACE", "CREATED", "COMMITS"],
            [(i, local_time(at), str(v)) for i, at, v in rows],
        )
    else:
        print_note("No namespaces yet. `kaizen sync phoenix` makes one, or `kaizen namespaces create NAME`.")
