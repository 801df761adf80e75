"""`kaizen entities`: look at tips and other entities, add some, delete some."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    open_configured_store,
    parse_where,
)
from kaizen.cli.output import entity_json, print_fields, print_json, print_note, print_table, printable
from kaizen.store import Delete, Put
from kaizen.sync.model import CATEGORIES

if TYPE_CHECKING:
    from kaizen.store import Entity

app = typer.Typer(
    help="List, show, add and delete tips and other entities.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    namespace: NamespaceArgument,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only this type: guideline (tips), trajectory, ...")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="Only where a metadata field has this value: category=recovery."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 100,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this id.")] = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """List entities in order of id, oldest tips first.

    Tips: kaizen entities list kaizen --type guideline
    """
    filters = parse_where(where or [])
    with open_configured_store(backend, data_dir) as store:
        page = store.list(namespace, type=type_, where=filters, after=after, limit=limit)
        total = store.count(namespace, type=type_, where=filters) if page.cursor or after else None
    if json:
        value = {"entities": [entity_json(e) for e in page.entities], "cursor": page.cursor}
        print_json({"namespace": namespace, **value})
        return
    if not page.entities:
        print_note(f"No {type_ or 'entities'} here yet. `kaizen sync phoenix` turns traces into tips.")
        return
    columns = _TIP_COLUMNS if type_ == "guideline" else _COLUMNS
    print_table(list(columns), [[column(e) for column in columns.values()] for e in page.entities])
    if page.cursor:
        print_note(f"{len(page.entities)} of {total}; for more: --limit N, or --after '{page.cursor}'")


_COLUMNS: dict[str, Callable[[Entity], str]] = {
    "ID": lambda e: e.id,
    "TYPE": lambda e: e.type,
    "UPDATED": lambda e: e.updated_at.astimezone().strftime("%Y-%m-%d %H:%M"),
    "CONTENT": lambda e: e.content[:200],
}
_TIP_COLUMNS: dict[str, Callable[[Entity], str]] = {
    "ID": lambda e: e.id,
    "CATEGORY": lambda e: str(e.metadata.get("category") or "-"),
    "SUPPORT": lambda e: str(e.metadata.get("support", "-")),
    "STATUS": lambda e: str(e.metadata.get("status") or "-"),
    "TIP": lambda e: e.content,
}


@app.command()
def show(
    namespace: NamespaceArgument,
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the entity.")],
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show one entity whole: a tip with its steps and where it came from."""
    with open_configured_store(backend, data_dir) as store:
        entity = store.get(namespace, entity_id)
    if json:
        print_json(entity_json(entity))
        return
    typer.echo(printable(entity.content))
    typer.echo("")
    metadata: dict[str, Any] = dict(entity.metadata)
    sources = metadata.get("sources")
    evidence = [s for s in sources if isinstance(s, dict)] if isinstance(sources, list) else []
    if evidence:
        del metadata["sources"]
    record = {key: value for key, value in entity_json(entity).items() if key not in ("content", "metadata")}
    print_fields({key: value for key, value in metadata.items() if key not in record} | record)
    for source in evidence:
        typer.echo("")
        print_fields(
            {"evidence": f"trace {source.get('trace_id')} of project {source.get('project')}", **source}
        )


@app.command()
def add(
    namespace: NamespaceArgument,
    content: Annotated[str, typer.Option("--content", help="The text; - reads it from standard input.")],
    type_: Annotated[str, typer.Option("--type", help="Type of the entity.")] = "guideline",
    category: Annotated[
        str | None, typer.Option("--category", help=f"Category of a tip: {', '.join(CATEGORIES)}.")
    ] = None,
    trigger: Annotated[str | None, typer.Option("--trigger", help="When a tip applies.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="A further metadata field: name=value.")
    ] = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Add an entity by hand, such as a tip you know to be good."""
    text = sys.stdin.read() if content == "-" else content
    if not text.strip():
        raise typer.BadParameter("the content is empty", param_hint="--content")
    if category is not None and category not in CATEGORIES:
        raise typer.BadParameter(f"'{category}' is none of {', '.join(CATEGORIES)}", param_hint="--category")
    fields: dict[str, Any] = {"creation_mode": "manual"}
    if type_ == "guideline":
        fields |= {"category": category or "strategy", "status": "active", "support": 0, "sources": []}
    if trigger:
        fields["trigger"] = trigger
    fields |= parse_where(metadata or [])
    with open_configured_store(backend, data_dir) as store:
        commit = store.commit(
            namespace,
            [Put(type=type_, content=text.strip(), metadata=fields)],
            actor="kaizen entities add",
            reason="added by hand",
        )
    entity = commit.changes[0].after
    assert entity is not None
    if json:
        print_json(entity_json(entity))
    else:
        typer.echo(f"Added {type_} {entity.id}.")


@app.command()
def delete(
    namespace: NamespaceArgument,
    entity_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of the entities.")],
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Delete entities, all of them or none; their history stays."""
    ids = list(dict.fromkeys(entity_ids))
    with open_configured_store(backend, data_dir) as store:
        store.commit(
            namespace,
            [Delete(id=entity_id) for entity_id in ids],
            actor="kaizen entities delete",
            reason="deleted by hand",
        )
    if json:
        print_json({"namespace": namespace, "deleted": ids})
    else:
        typer.echo(f"Deleted {len(ids)} {'entity' if len(ids) == 1 else 'entities'}.")
