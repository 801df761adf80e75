"""How the command speaks: tables for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from kaizen.store import NotFoundError
from kaizen.tips.text import one_line as one_line
from kaizen.tips.text import printable as printable

if TYPE_CHECKING:
    from kaizen.store import Entity

# What JSON leaves as it is and a terminal may obey: DEL, the C1 controls, and changes of text direction.
_CONTROLS = re.compile("[\\x7f-\\x9f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]")


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, harmless to a terminal too."""
    typer.echo(harmless(json.dumps(value, ensure_ascii=False, indent=2)))


def harmless(text: str) -> str:
    """JSON that means the same, without what a terminal may obey."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_json_line(value: Any) -> None:
    """Print one JSON document in one line, one of many."""
    text = json.dumps(value, ensure_ascii=False)
    typer.echo(_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def print_error(error: Exception, *, as_json: bool) -> None:
    """Say what failed in one line on stderr, and as JSON on stdout for programs."""
    said = error_json(error)
    typer.echo(f"Error: {said['message']}", err=True)
    if as_json:
        print_json({"error": said})


def error_json(error: Exception) -> dict[str, str]:
    """An error as `--json` shows it; its message is one line."""
    return {"type": type(error).__name__, "message": one_line(error) + _advice(error)}


def _advice(error: Exception) -> str:
    """What to run next, where only the command knows it."""
    if isinstance(error, NotFoundError):
        if error.entity_id is None:
            return "; `kaizen namespaces list` shows those there are, `kaizen sync phoenix` makes its own"
        return f"; `kaizen entities list {error.namespace_id}` shows those there are"
    return ""


def print_error_json(kind: str, message: str) -> None:
    """Print what every command prints on stdout when it fails under `--json`."""
    print_json({"error": {"type": kind, "message": message}})


def print_note(text: str) -> None:
    """Say something besides the result, on stderr."""
    typer.echo(text, err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers; the last column takes the rest of the line and is wrapped on a terminal."""
    Table(headers).add(rows)


class Table:
    """A table that is printed while its rows come; a column that had to be widened stays so."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._pending: list[Sequence[str]] = [headers]
        self._widths = [0] * (len(headers) - 1)

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        lines = [[one_line(cell) for cell in line] for line in [*self._pending, *rows]]
        self._pending = []
        self._widths = [max(w, *(len(line[i]) for line in lines)) for i, w in enumerate(self._widths)]
        indent = sum(self._widths) + 2 * len(self._widths)
        room = max(20, shutil.get_terminal_size().columns - indent) if sys.stdout.isatty() else None
        printed: list[str] = []
        for line in lines:
            start = "".join(cell.ljust(w) + "  " for cell, w in zip(line, self._widths, strict=False))
            wrapped = textwrap.wrap(line[-1], room) if room else [line[-1]]
            printed.append((start + (wrapped[0] if wrapped else "")).rstrip())
            printed += [" " * indent + more for more in wrapped[1:]]
        typer.echo("\n".join(printed))


def entity_json(entity: Entity) -> dict[str, Any]:
    """An entity as `--json` shows it."""
    return {
        "id": entity.id,
        "namespace": entity.namespace_id,
        "type": entity.type,
        "content": entity.content,
        "metadata": dict(entity.metadata),
        "created_at": entity.created_at.isoformat(),
        "updated_at": entity.updated_at.isoformat(),
        "revision": entity.revision,
    }


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values; lists one item a line, empty values not at all."""
    shown = {one_line(name): value for name, value in fields.items() if value not in ("", None, [], {})}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        lines = [_inline(item) for item in value] if isinstance(value, list) else [_inline(value)]
        for index, line in enumerate(lines):
            typer.echo(f"{(name if index == 0 else '').ljust(width)}  {line}")


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
