"""`kaizen entities search`: the tips that fit a task, and why they do."""

from __future__ import annotations

from typing import Annotated

import typer

from kaizen.cli.drawing import print_table, short_ids
from kaizen.cli.entities.types import shown_types
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    TypeOption,
    WhereOption,
    one_word,
    opened,
    parse_where,
)
from kaizen.cli.output import entity_json, print_json, print_note
from kaizen.store import search_page


def search(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[NAMESPACE] QUERY", help="A task in plain words, or some words, in quotes."),
    ],
    type_: TypeOption = None,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 10,
    all_types: Annotated[
        bool, typer.Option("--all-types", help="Also what syncs keep for themselves: trajectories, ...")
    ] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Find the entities that fit a task best, by its words and by its meaning, best first.

    WORDS is the score of the words (- without a word in common), MEANING how alike the meanings are (at most
    1; - if not known, as with KAIZEN_EMBEDDER=none); both together give the order. What fits neither by its
    words nor by its meaning is not found.

    Tips: kaizen entities search "cancel an order" --type guideline
    """
    filters = parse_where(where or [])
    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        # With --namespace no word can be one, so all belong to the query, quoted or not.
        words = words if in_namespace is None else [" ".join(words)]
        namespace_id, query = one_word(words, namespace_id, in_namespace, "QUERY in quotes")
        types = shown_types(store, namespace_id, type_, all_types=all_types)
        hits = search_page(store, namespace_id, query, types=types, where=filters, limit=limit)
    if json:
        found = [
            {"score": h.score, "lexical": h.lexical, "dense": h.dense, "entity": entity_json(h.entity)}
            for h in hits
        ]
        print_json({"namespace": namespace_id, "query": query, "hits": found})
    elif hits:
        ids = short_ids([hit.entity.id for hit in hits])
        print_table(
            ["RANK", "WORDS", "MEANING", "ID", "TEXT"],
            [
                [str(rank), _score(hit.lexical), _score(hit.dense), id_, hit.entity.content]
                for rank, (id_, hit) in enumerate(zip(ids, hits, strict=True), 1)
            ],
        )
    else:
        print_note(f"No {'tips' if type_ == 'guideline' else type_ or 'entities'} here that fit.")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
