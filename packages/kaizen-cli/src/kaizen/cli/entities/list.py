"""`kaizen entities list`: tips and other entities, in order of id."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import Table, short_ids
from kaizen.cli.entities.types import shown_types
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    TypeOption,
    WhereOption,
    opened,
    parse_where,
)
from kaizen.cli.output import entity_json, error_json, harmless, print_error, print_json, print_note
from kaizen.cli.times import local_time
from kaizen.store import StoreError, read_page, read_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kaizen.store import Entity, Page, Store, Where

_LIMIT = 100


def list_entities(
    namespace: NamespaceArgument = None,
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
    all_types: Annotated[
        bool, typer.Option("--all-types", help="Also what syncs keep for themselves: trajectories, runs, ...")
    ] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """List entities in order of id, oldest first.

    The records that syncs keep for themselves are shown only with --type or --all-types. Long texts are cut:
    `kaizen entities show` has them whole.

    Tips: kaizen entities list --type guideline
    """
    if all_ and limit is not None:
        raise typer.BadParameter("--all shows all there are: leave out --limit", param_hint="--all")
    if all_types and type_ is not None:
        raise typer.BadParameter("--type shows one type: leave out one of them", param_hint="--all-types")
    if stale and type_ not in (None, "guideline"):
        raise typer.BadParameter("only tips go stale: leave out --type", param_hint="--stale")
    type_ = "guideline" if stale else type_
    filters = parse_where(where or [])
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        types = shown_types(store, namespace_id, type_, all_types=all_types)
        keep = None
        if stale:
            from kaizen.sync import read_staleness

            keep = read_staleness(store, namespace_id).is_stale
        selected: dict[str, Any] = {"types": types, "where": filters, "keep": keep, "after": after}
        pages = (
            read_pages(store, namespace_id, **selected)
            if all_
            else iter([read_page(store, namespace_id, **selected, limit=limit or _LIMIT)])
        )
        if json:
            _print_json(namespace_id, pages, is_all=all_)
        else:
            page = _print_table(pages, is_tips=types == ["guideline"] and type_ is not None)
            if page is None:
                _print_nothing(store, namespace_id, types, filters, type_, is_stale=stale, after=after)
            elif page.cursor and not all_:
                # A store counts by equality; to count anything else, all would have to be read.
                is_counted = keep is None and not filters.unequal
                total = f" of {_count(store, namespace_id, types, filters)}" if is_counted else ""
                shown = f"{len(page.entities)}{total}"
                print_note(f"{shown}; for more: --limit N, --all, or --after '{page.cursor}'")


def _count(store: Store, namespace_id: str, types: Iterable[str], where: Where) -> int:
    return sum(store.count(namespace_id, type=type_, where=where.equal) for type_ in types)


def _print_nothing(
    store: Store,
    namespace_id: str,
    types: Sequence[str],
    where: Where,
    type_: str | None,
    *,
    is_stale: bool,
    after: str | None,
) -> None:
    what = "tips" if type_ == "guideline" else type_ or "entities"
    there = sum(store.count(namespace_id, type=each) for each in types)
    if is_stale and there:
        print_note("No tip is older than its tools.")
    elif where and there:
        print_note(f"None of the {there} {what} here matches --where.")
    elif after is not None and there:
        print_note(f"No {what} follow '{after}'.")
    elif type_ in (None, "guideline") or not store.count(namespace_id):
        print_note(f"No {what} here yet. `kaizen sync phoenix` turns traces into tips.")


def _print_table(pages: Iterator[Page], *, is_tips: bool) -> Page | None:
    """Print the pages while they are read, and return the last one; None if there is nothing in them."""
    columns = _TIP_COLUMNS if is_tips else _COLUMNS
    table = Table(["ID", *columns])
    last = None
    for page in pages:
        if page.entities:
            last = page
            ids = short_ids([entity.id for entity in page.entities])
            cells = ([column(entity) for column in columns.values()] for entity in page.entities)
            table.add([[id_, *row] for id_, row in zip(ids, cells, strict=True)])
    return last


def _print_json(namespace_id: str, pages: Iterator[Page], *, is_all: bool) -> None:
    if is_all:
        _print_json_pages({"namespace": namespace_id}, pages)
        return
    (page,) = pages
    entities = [entity_json(entity) for entity in page.entities]
    print_json({"namespace": namespace_id, "entities": entities, "cursor": page.cursor})


def _print_json_pages(head: dict[str, Any], pages: Iterator[Page]) -> None:
    """Print the document while it is read; an error on the way ends it in order."""
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
    # The error was printed above, and the document has to end in order first.
    if "error" in tail:
        raise typer.Exit(1)


_COLUMNS: dict[str, Callable[[Entity], str]] = {
    "TYPE": lambda e: e.type,
    "UPDATED": lambda e: local_time(e.updated_at),
    "CONTENT": lambda e: e.content,
}
_TIP_COLUMNS: dict[str, Callable[[Entity], str]] = {
    "CATEGORY": lambda e: str(e.metadata.get("category") or "-"),
    "SUPPORT": lambda e: str(e.metadata.get("support", "-")),
    "STATUS": lambda e: str(e.metadata.get("status") or "active"),
    "TIP": lambda e: e.content,
}
