"""`kaizen namespaces`: the units of isolation in a store."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    open_configured_store,
)
from kaizen.cli.output import print_fields, print_json, print_note, print_table

app = typer.Typer(
    help="List, create, look at and delete namespaces.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(backend: BackendOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """List all namespaces."""
    with open_configured_store(backend, data_dir) as store:
        namespaces = store.list_namespaces()
        rows = [(n.id, n.created_at, n.version) for n in namespaces]
    if json:
        print_json(
            {"namespaces": [{"id": i, "created_at": at.isoformat(), "version": v} for i, at, v in rows]}
        )
    elif rows:
        print_table(
            ["NAMESPACE", "CREATED", "COMMITS"],
            [(i, at.astimezone().strftime("%Y-%m-%d %H:%M"), str(v)) for i, at, v in rows],
        )
    else:
        print_note("No namespaces yet. `kaizen sync phoenix` makes one, or `kaizen namespaces create NAME`.")


@app.command()
def create(
    namespace: NamespaceArgument,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Create a namespace."""
    with open_configured_store(backend, data_dir) as store:
        created = store.create_namespace(namespace)
    if json:
        print_json(
            {"id": created.id, "created_at": created.created_at.isoformat(), "version": created.version}
        )
    else:
        typer.echo(f"Created namespace '{created.id}'.")


@app.command()
def info(
    namespace: NamespaceArgument,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a namespace holds: entities by type, tips by status, traces by state."""
    with open_configured_store(backend, data_dir) as store:
        found = store.get_namespace(namespace)
        types: Counter[str] = Counter()
        tips: Counter[str] = Counter()
        traces: Counter[str] = Counter()
        for entity in store.iterate(namespace):
            types[entity.type] += 1
            if entity.type == "guideline":
                tips[str(entity.metadata.get("status") or "active")] += 1
            elif entity.type == "trajectory":
                traces[str(entity.metadata.get("state") or "unknown")] += 1
        value = {
            "id": found.id,
            "location": store.location,
            "created_at": found.created_at.isoformat(),
            "version": found.version,
            "entities": dict(sorted(types.items())),
            "tips": dict(sorted(tips.items())),
            "traces": dict(sorted(traces.items())),
        }
    if json:
        print_json(value)
    else:
        print_fields(
            {
                name: ", ".join(f"{n} {key}" for key, n in part.items()) if isinstance(part, dict) else part
                for name, part in value.items()
            }
        )


@app.command()
def delete(
    namespace: NamespaceArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a namespace with all its entities and its history. This cannot be undone."""
    with open_configured_store(backend, data_dir) as store:
        store.get_namespace(namespace)
        entities = store.count(namespace)
        if not yes:
            typer.confirm(
                f"Delete namespace '{namespace}' with {entities} entities and its history for good?",
                abort=True,
                err=True,
            )
        store.delete_namespace(namespace)
    if json:
        print_json({"id": namespace, "deleted_entities": entities})
    else:
        typer.echo(f"Deleted namespace '{namespace}' with {entities} entities.")
