"""JSON as spans carry it: text to value, value to text, and one spelling of tool arguments."""

from __future__ import annotations

import ast
import json
from typing import Any

_LITERAL_CHARS = 2_000_000


def load_json(text: str) -> Any:
    """The JSON value of a text; raises `ValueError` for what is none, also where it is nested without end."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_or_none(value: Any) -> Any:
    """The JSON value of an attribute; None where it is no text, or no JSON."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return load_json(value)
    except ValueError:
        return None


def load_literal(text: str) -> Any:
    """The value of a Python literal, as `repr` writes it; raises `ValueError` for what is none.

    Nothing is evaluated, and a text of more than two million characters is refused: parsing takes about a
    hundred times its size in memory.
    """
    if len(text) > _LITERAL_CHARS:
        raise ValueError("too long for a literal")
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error


def as_text(value: Any) -> str:
    """Text as it is, None as nothing, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def canonical_arguments(arguments: str) -> str:
    """Tool arguments in one spelling, so that re-serialised ones compare equal."""
    try:
        return json.dumps(load_json(arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments.strip()
