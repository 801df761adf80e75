"""What people see: tables, fields and wrapped text on a terminal, plain lines elsewhere.

On a terminal rich draws, in colours unless `NO_COLOR` is set, and nothing is wider than the terminal.
Elsewhere each row is one line and nothing is wrapped, for grep and the like. `COLUMNS` asks for a width in
both cases. What is stored comes from traces and is never taken for markup: it reaches rich as `Text` without
control characters.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer

from kaizen.cli.output import cut, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

# A row of a list shows the beginning of a long text: this many characters, or this many lines of a terminal.
_EXCERPT = 200
_LINES = 3
_GAP = 2
# With less room, a text would be a ribbon of single words.
_NARROWEST = 20
_SHORTEST_ID = 13  # the time of a UUIDv7, to the millisecond


def is_drawn(stream: TextIO | None = None) -> bool:
    """Return whether output is laid out for a terminal or a given width."""
    return (stream or sys.stdout).isatty() or os.environ.get("COLUMNS", "").isdecimal()


def console(stream: TextIO | None = None) -> Console:
    """Return a console of rich that takes nothing for markup, an emoji or a link."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, emoji=False, highlight=False, soft_wrap=False)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers. The last column takes the rest of the line; long texts in it are cut."""
    Table(headers).add(rows)


class Table:
    """A table that is printed while its rows come; a column that had to be widened stays so."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._headers: Sequence[str] | None = headers
        self._widths = [len(header) for header in headers[:-1]]

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        lines = [[one_line(cell) for cell in row] for row in rows]
        self._widths = [
            max([width, *(len(line[i]) for line in lines)]) for i, width in enumerate(self._widths)
        ]
        if is_drawn():
            self._draw(lines)
        else:
            headers = [self._headers] if self._headers else []
            typer.echo("\n".join(self._plain(line) for line in [*headers, *lines]))
        # Further pages go on below the first, without headers of their own.
        self._headers = None

    def _plain(self, line: Sequence[str]) -> str:
        start = "".join(
            cell.ljust(width) + " " * _GAP for cell, width in zip(line, self._widths, strict=False)
        )
        return (start + cut(line[-1], _EXCERPT)).rstrip()

    def _draw(self, lines: Sequence[Sequence[str]]) -> None:
        from rich.table import Table as RichTable
        from rich.text import Text

        widths, room = self._fitting(console().width)
        table = RichTable(
            box=None,
            show_header=bool(self._headers),
            header_style="bold",
            pad_edge=False,
            padding=(0, _GAP, 0, 0),
        )
        for header, width in zip(self._headers or [""] * len(widths), widths, strict=False):
            table.add_column(header, overflow="ellipsis", width=width)
        table.add_column(self._headers[-1] if self._headers else "", overflow="fold", min_width=_NARROWEST)
        for *cells, text in lines:
            # Lines that end between words are not full: about a quarter of one is lost.
            table.add_row(*map(Text, cells), Text(cut(text, _LINES * room - room // 4)))
        _print(table)

    def _fitting(self, screen_width: int) -> tuple[list[int], int]:
        """Return the widths of the columns and the room of the last one; the widest give way to it."""
        widths = list(self._widths)
        room = screen_width - sum(widths) - _GAP * len(widths)
        while room < _NARROWEST and max(widths, default=0) > _NARROWEST // 2:
            widths[widths.index(max(widths))] -= 1
            room += 1
        return widths, max(room, _NARROWEST)


def print_text(text: str, *, indent: int = 0, style: str = "") -> None:
    """Print text; on a terminal it is wrapped, and further lines begin below the character at `indent`."""
    text = printable(text)
    if is_drawn():
        _print_grid([(text[:indent], text[indent:])], width=indent, style=style)
    else:
        typer.echo(text)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values; lists one item a line, empty values not at all."""
    shown = {one_line(name): value for name, value in fields.items() if value not in ("", None, [], {})}
    rows = [
        (name if number == 0 else "", _inline(item))
        for name, value in shown.items()
        for number, item in enumerate(value if isinstance(value, list) else [value])
    ]
    width = max((len(name) for name, _ in rows), default=0)
    if is_drawn():
        _print_grid(rows, width=width + _GAP, style="dim")
        return
    for name, value in rows:
        typer.echo(f"{name.ljust(width)}  {value}")


def _print_grid(rows: Iterable[tuple[str, str]], *, width: int, style: str) -> None:
    """Draw names of that width with their values, which are wrapped beside them."""
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid()
    if width:
        grid.add_column(no_wrap=True, width=width, style=style)
    grid.add_column(overflow="fold", style="" if width else style)
    for name, value in rows:
        grid.add_row(*([Text(name)] if width else []), Text(value))
    _print(grid)


def _print(drawn: RichTable) -> None:
    """Print what rich draws, without the blanks with which it fills every line to the full width."""
    screen = console()
    with screen.capture() as captured:
        screen.print(drawn)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return the beginnings of the ids that tell them apart, on a terminal; elsewhere the ids."""
    if not is_drawn() or not ids:
        return list(ids)
    length = _SHORTEST_ID
    longest = max(map(len, ids))
    while length < longest and len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    # A dash at the end looks as if something were missing.
    return [each[:length].rstrip("-") for each in ids]


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
