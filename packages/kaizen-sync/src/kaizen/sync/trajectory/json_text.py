"""JSON in attributes: text to value, value to text, and one spelling of tool arguments."""

from __future__ import annotations

import ast
import json
from typing import Any

from kaizen.sync.cleaning import clean_value

_LITERAL_CHARS = 2_000_000


def load_json(text: str) -> Any:
    """Return the JSON value of a text; raises `ValueError` if it is not JSON, or nested too deeply.

    Lone surrogates, which an escape may hide in the cleanest text, are replaced.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return clean_value(value) if _may_hold_surrogates(text) else value


def _may_hold_surrogates(text: str) -> bool:
    return "\\ud" in text or "\\uD" in text


def json_or_none(value: Any) -> Any:
    """Return the JSON value of an attribute; None if it is not text, or not JSON."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return load_json(value)
    except ValueError:
        return None


def load_literal(text: str) -> Any:
    """Return the value of a Python literal, as `repr` writes it; raises `ValueError` if it is not one.

    Nothing is evaluated, and a text of more than two million characters is refused: parsing takes about a
    hundred times its size in memory.
    """
    if len(text) > _LITERAL_CHARS:
        raise ValueError("too long for a literal")
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error
    return clean_value(value) if _may_hold_surrogates(text) else value


def as_text(value: Any) -> str:
    """Return text unchanged, None as an empty text, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def canonical_arguments(arguments: str) -> str:
    """Return tool arguments in one spelling, so that re-serialised ones compare equal."""
    try:
        return json.dumps(load_json(arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments.strip()
