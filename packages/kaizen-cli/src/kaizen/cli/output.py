"""How the command speaks: tables for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import typer

from kaizen.tips import one_line as one_line
from kaizen.tips import printable as printable

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
    return {"type": _public_name(type(error)), "message": one_line(error) + _advice(error)}


def _public_name(kind: type[BaseException]) -> str:
    """Return the nearest class that its package exports; a private one may change in any release."""
    for each in kind.__mro__:
        root, _, rest = each.__module__.partition(".")
        package = sys.modules.get(f"{root}.{rest.partition('.')[0]}") if root == "kaizen" else None
        if each.__name__ in getattr(package, "__all__", (each.__name__,)):
            return each.__name__
    return kind.__name__


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


def print_undo(namespace: str, commit_id: str) -> None:
    """Say how to undo a commit; in one line however long, since it is there to be copied."""
    print_note(f"To undo it: kaizen entities revert {namespace} --commit {commit_id}")


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


def priced(cost_usd: float | None) -> str:
    """Return a cost, or that LiteLLM knows none for the model."""
    return "price unknown" if cost_usd is None else f"{cost_usd:.4f} USD"


def cut(text: str, width: int) -> str:
    """Return the text in one line of at most `width` characters; a longer one ends after a word, with "…"."""
    line = one_line(text)
    if len(line) <= width:
        return line
    # One character more, so that a word which just fits is kept.
    return (line[:width].rpartition(" ")[0].rstrip(" …") or line[: width - 1]) + "…"
