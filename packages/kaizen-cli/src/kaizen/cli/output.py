"""How the command speaks: tables for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import typer

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
    typer.echo(harmless(json.dumps(value, ensure_ascii=False)))


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
    from kaizen.store import NotFoundError

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


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return the count with its noun: "1 trace", "2 traces", "2 entities"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def cut(text: str, width: int) -> str:
    """Return the text in one line of at most `width` characters, with an ellipsis where it was longer."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
