"""Metadata as rows of path and value, for backends that find by an index what a `Filter` selects. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store.model import JsonValue, Metadata

# PostgreSQL refuses index rows of more than 2,704 bytes, of which an entity id may take 2,048.
_MAX_BYTES = 200


def flatten(metadata: Metadata) -> list[tuple[str, str]]:
    """The `field_of` of each value that a filter can name, containers included, lists as a whole.

    A value of None has no field, as what is missing has none. So a filter selects an entity if its metadata
    has the filter's field or, where the value is None, no field of that path: see `path_of`.
    """
    return [
        (path_of(path), _short(canonical))
        for path, canonical in _walk((), metadata)
        if path and canonical != "null"
    ]


def field_of(path: tuple[str, ...], value: JsonValue) -> tuple[str, str]:
    """Path and value as text, the same for equal paths and for values that are equal as JSON."""
    return path_of(path), _short(_canonical(value))


def path_of(path: tuple[str, ...]) -> str:
    return _short(_canonical(path))


def _walk(path: tuple[str, ...], value: JsonValue) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each path from here on with its canonical text; this one last, made of those of its parts."""
    if not isinstance(value, Mapping):
        yield path, _canonical(value)
        return
    parts: dict[str, str] = {}
    for key, item in value.items():
        # no filter names a key that is empty or has a dot, so neither it nor what is below needs a field
        if not key or "." in key:
            parts[key] = _canonical(item)
            continue
        for below, canonical in _walk((*path, key), item):
            yield below, canonical
        parts[key] = canonical
    yield path, _object(parts)


def _canonical(value: JsonValue) -> str:
    """JSON without a choice: keys sorted, no spaces, and numbers that are equal written alike."""
    if isinstance(value, Mapping):
        return _object({key: _canonical(item) for key, item in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_canonical, value))}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


def _object(parts: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(key, ensure_ascii=False)}:{parts[key]}' for key in sorted(parts))}}}"


def _short(text: str) -> str:
    """The text, or its digest where it is long; no JSON starts like one."""
    encoded = text.encode()
    return text if len(encoded) <= _MAX_BYTES else f"#{sha256(encoded).hexdigest()}"
