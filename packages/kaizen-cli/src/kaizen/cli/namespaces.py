"""`kaizen namespaces`: the units of isolation in a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    open_configured_store,
)
from kaizen.cli.output import print_fields, print_json, print_note, print_table
from kaizen.tips import STATUSES

if TYPE_CHECKING:
    from kaizen.store import Store

# Those that Kaizen writes.
_TYPES = ("guideline", "trajectory", "checkpoint")
_STATES = ("unknown", "learned", "no_lesson", "deferred", "skipped", "failed")

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
        value = {
            "id": found.id,
            "location": store.location,
            "created_at": found.created_at.isoformat(),
            "version": found.version,
            "entities": _types(store, namespace),
            "tips": _values(store, namespace, "guideline", "status", STATUSES),
            "traces": _values(store, namespace, "trajectory", "state", _STATES),
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


def _types(store: Store, namespace: str) -> dict[str, int]:
    """Entities by type: counted by the store, and looked at one by one only where a type is not ours."""
    counts = {type_: store.count(namespace, type=type_) for type_ in _TYPES}
    if sum(counts.values()) != store.count(namespace):
        counts = Counter(entity.type for entity in store.iterate(namespace))
    return _sorted(counts)


def _values(store: Store, namespace: str, type_: str, field: str, known: Sequence[str]) -> dict[str, int]:
    """Entities of a type by a field of their metadata, likewise; without it they count as `known[0]`."""
    counts = {value: store.count(namespace, type=type_, where={field: value}) for value in known}
    if sum(counts.values()) != store.count(namespace, type=type_):
        found = store.iterate(namespace, type=type_)
        counts = Counter(str(entity.metadata.get(field) or known[0]) for entity in found)
    return _sorted(counts)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in sorted(counts.items()) if n}


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
