"""`kaizen proof export`: the experiment as data, for whoever wants to check it."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kaizen.cli.entities.export import print_lines, write_file
from kaizen.cli.options import BackendOption, DataDirOption, NamespaceOption, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OUTCOMES = [
    "success",
    "refused_calls",
    "model_calls",
    "tool_calls",
    "tokens",
    "cost_usd",
    "duration_s",
    "stratum",
]
_FIELDS = ["unit", "began_at", "tip_id", "revision", "p", "is_held_out", "recurred", *_OUTCOMES]


def export(
    format_: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", help="csv, or jsonl: a JSON object in each line.")
    ] = "csv",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Export one row for each run and tip: shown or held out, with which probability, and how the run went.

    The tip `*` stands for all tips: a few runs are given none at all. What is not known is empty.
    """
    from kaizen.sync import read_units

    with opened(backend, data_dir, namespace) as (store, namespace_id):
        rows = _rows(read_units(store, namespace_id))
        texts = _csv(rows) if format_ == "csv" else (json.dumps(row, ensure_ascii=False) for row in rows)
        lines = (f"{text}\n".encode() for text in texts)
        if output is None:
            print_lines(lines)
        else:
            write_file(output, lines)


def _rows(units: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for unit in units:
        outcomes = {name: getattr(unit, name) for name in _OUTCOMES}
        for one in unit.assignments:
            yield {
                "unit": unit.id,
                "began_at": unit.began_at.isoformat(),
                "tip_id": one.tip_id,
                "revision": one.revision,
                "p": one.p,
                "is_held_out": one.is_held_out,
                "recurred": unit.recurred.get(one.tip_id),
                **outcomes,
            }


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield ",".join(_FIELDS)
    for row in rows:
        line = io.StringIO()
        csv.DictWriter(line, _FIELDS, lineterminator="").writerow(row)
        yield line.getvalue()
