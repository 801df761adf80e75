"""How the command speaks: tables for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from kaizen.store import Entity


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_error(error: Exception, *, as_json: bool) -> None:
    """Say what failed in one line on stderr, and as JSON on stdout for programs."""
    message = " ".join(str(error).split())
    typer.echo(f"Error: {message}", err=True)
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": message}})


def print_note(text: str) -> None:
    """Say something besides the result, on stderr."""
    typer.echo(text, err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headers; the last column takes the rest of the line and is wrapped on a terminal."""
    widths = [max(len(line[i]) for line in [headers, *rows]) for i in range(len(headers) - 1)]
    indent = sum(widths) + 2 * len(widths)
    room = max(20, shutil.get_terminal_size().columns - indent) if sys.stdout.isatty() else None
    for line in [headers, *rows]:
        start = "".join(cell.ljust(width) + "  " for cell, width in zip(line, widths, strict=False))
        last = " ".join(printable(line[-1]).split())
        wrapped = textwrap.wrap(last, room) if room else [last]
        typer.echo((start + (wrapped[0] if wrapped else "")).rstrip())
        for more in wrapped[1:]:
            typer.echo(" " * indent + more)


def printable(text: str) -> str:
    """The text without control characters: stored text comes from traces and may hold terminal codes."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


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
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if value in ("", None, [], {}):
            continue
        lines = [_inline(item) for item in value] if isinstance(value, list) else [_inline(value)]
        for index, line in enumerate(lines):
            typer.echo(f"{(name if index == 0 else '').ljust(width)}  {line}")


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
