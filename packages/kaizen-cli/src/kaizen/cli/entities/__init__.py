"""`kaizen entities`: look at tips and other entities, add some, delete some."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.entities.details import print_entity
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    TypeOption,
    WhereOption,
    open_configured_store,
    parse_where,
)
from kaizen.cli.output import (
    Table,
    entity_json,
    error_json,
    harmless,
    print_error,
    print_json,
    print_note,
)
from kaizen.store import Delete, Put, StoreError
from kaizen.tips import CATEGORIES, GUIDELINE, manual_tip

if TYPE_CHECKING:
    from kaizen.store import Entity, Page, Store
    from kaizen.sync.knowledge.staleness import Staleness

# How many entities `--all` reads at once.
_PAGE = 1_000

app = typer.Typer(
    help="List, search, change, look back at and move tips and other entities.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    namespace: NamespaceArgument,
    type_: TypeOption = None,
    where: WhereOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Show at most this many. [default: 100]")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this id.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only tips whose tools have changed since they were learned.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Show them all, however many there are.")] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """List entities in order of id, oldest tips first.

    Tips: kaizen entities list kaizen --type guideline
    """
    if all_ and limit is not None:
        raise typer.BadParameter("--all shows all there are: leave out --limit", param_hint="--all")
    if stale and type_ not in (None, "guideline"):
        raise typer.BadParameter("only tips go stale: leave out --type", param_hint="--stale")
    type_ = "guideline" if stale else type_
    filters = parse_where(where or [])
    with open_configured_store(backend, data_dir) as store:
        read: Callable[..., Page] = partial(store.list, namespace, type=type_, where=filters)
        if stale:
            read = _stale_only(store, namespace, read)
        page = read(after=after, limit=_PAGE if all_ else limit or 100)
        pages = _pages(page, read) if all_ else iter([page])
        if json and all_:
            _print_json_list({"namespace": namespace}, pages)
        elif json:
            value = {"entities": [entity_json(e) for e in page.entities], "cursor": page.cursor}
            print_json({"namespace": namespace, **value})
        elif not page.entities:
            print_note(
                "No tip is older than its tools."
                if stale
                else f"No {type_ or 'entities'} here yet. `kaizen sync phoenix` turns traces into tips."
            )
        else:
            columns = _TIP_COLUMNS if type_ == "guideline" else _COLUMNS
            table = Table(list(columns))
            for each in pages:
                table.add([[column(e) for column in columns.values()] for e in each.entities])
            if page.cursor and not all_:
                total = "" if stale else f" of {store.count(namespace, type=type_, where=filters)}"
                print_note(
                    f"{len(page.entities)}{total}; for more: --limit N, --all, or --after '{page.cursor}'"
                )


def _stale_only(store: Store, namespace: str, read: Callable[..., Page]) -> Callable[..., Page]:
    """The same list, less the tips that are not stale."""
    from kaizen.store import Page

    staleness = _staleness(store, namespace)

    def stale(*, after: str | None, limit: int) -> Page:
        found: list[Entity] = []
        for page in _pages(read(after=after, limit=_PAGE), read):
            for entity in page.entities:
                if staleness.changed(entity):
                    if len(found) == limit:
                        return Page(entities=tuple(found), cursor=found[-1].id)
                    found.append(entity)
        return Page(entities=tuple(found), cursor=None)

    return stale


def _staleness(store: Store, namespace: str) -> Staleness:
    from kaizen.sync.knowledge.staleness import Staleness
    from kaizen.sync.state.ledger import Ledger

    return Staleness(lambda source, project: Ledger(store, namespace, source, project).tools)


def _pages(page: Page, read: Callable[..., Page]) -> Iterator[Page]:
    """The page and all that follow it."""
    yield page
    while page.cursor is not None:
        page = read(after=page.cursor, limit=_PAGE)
        yield page


def _print_json_list(head: dict[str, Any], pages: Iterator[Page]) -> None:
    """The document of `list`, printed while it is read; an error on the way ends it in order."""
    import json

    out = sys.stdout
    out.write(json.dumps(head, indent=2)[:-2] + ',\n  "entities": [')
    tail: dict[str, Any] = {"cursor": None}
    last: str | None = None
    try:
        for page in pages:
            for entity in page.entities:
                text = harmless(json.dumps(entity_json(entity), ensure_ascii=False, indent=2))
                out.write(("," if last else "") + "\n    " + text.replace("\n", "\n    "))
                last = entity.id
    except StoreError as error:
        tail = {"cursor": last, "error": error_json(error)}
        print_error(error, as_json=False)
    out.write(("\n  ]" if last else "]") + "," + harmless(json.dumps(tail, ensure_ascii=False, indent=2))[1:])
    out.write("\n")
    out.flush()
    if "error" in tail:
        raise typer.Exit(1)


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
    """Show one entity whole: a tip with its steps and where it came from.

    Each piece of evidence has the address of its span in Phoenix. A tip that is older than its tools says so.
    """
    with open_configured_store(backend, data_dir) as store:
        entity = store.get(namespace, entity_id)
        changed = _staleness(store, namespace).changed(entity) if entity.type == "guideline" else []
    if json:
        print_json({**entity_json(entity), "stale_tools": [tool.to_json() for tool in changed]})
    else:
        print_entity(entity, changed)


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
    fields: dict[str, Any] = {"trigger": trigger} if trigger else {}
    fields |= {"category": category} if category else {}
    fields |= parse_where(metadata or [])
    put = (
        manual_tip(text.strip(), **fields)
        if type_ == GUIDELINE
        else Put(type=type_, content=text.strip(), metadata={"creation_mode": "manual", **fields})
    )
    with open_configured_store(backend, data_dir) as store:
        commit = store.commit(
            namespace,
            [put],
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
