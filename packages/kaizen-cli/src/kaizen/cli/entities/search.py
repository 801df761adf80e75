"""`kaizen entities search`: the tips that fit a task, and why they do."""

from __future__ import annotations

from typing import Annotated

import typer

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
from kaizen.cli.output import entity_json, print_json, print_note, print_table


def search(
    namespace: NamespaceArgument,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A task in plain words, or some words.")],
    type_: TypeOption = None,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 10,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Find the entities that fit a task best, by its words and by its meaning, best first.

    SCORE is what the order goes by, WORDS the score of the words (- where it shares none with the query),
    MEANING how alike the meanings are (at most 1; - where it is not known, as with KAIZEN_EMBEDDER=none).
    Tips: kaizen entities search kaizen "cancel an order" --type guideline
    """
    with open_configured_store(backend, data_dir) as store:
        hits = store.search(namespace, query, type=type_, where=parse_where(where or []), limit=limit)
    if json:
        found = [
            {"score": h.score, "lexical": h.lexical, "dense": h.dense, "entity": entity_json(h.entity)}
            for h in hits
        ]
        print_json({"namespace": namespace, "query": query, "hits": found})
    elif hits:
        print_table(
            ["SCORE", "WORDS", "MEANING", "ID", "TEXT"],
            [
                [f"{h.score:.4f}", _score(h.lexical), _score(h.dense), h.entity.id, h.entity.content[:200]]
                for h in hits
            ],
        )
    else:
        print_note(f"No {type_ or 'entities'} here that fit.")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
