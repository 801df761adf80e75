"""Select entities by type and metadata, and write metadata as rows that an index finds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from kaizen.store.errors import InvalidInputError
from kaizen.store.validation import check_text, check_type, clean_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store.model import Entity, JsonValue, Metadata

# PostgreSQL refuses index rows of more than 2,704 bytes, of which an entity id may take 2,048.
_MAX_BYTES = 200
# json.dumps would make an encoder for each value.
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Filter:
    """A type, and values that metadata must have at paths."""

    type: str | None
    values: tuple[tuple[tuple[str, ...], JsonValue], ...]

    @classmethod
    def parse(cls, type_: str | None, where: Mapping[str, JsonValue] | None) -> Self:
        """Check what a caller passed as `type` and `where`; raise `InvalidInputError`."""
        return cls(
            type=None if type_ is None else check_type(type_),
            values=tuple(
                (_parse_path(path), clean_json(path, value)) for path, value in (where or {}).items()
            ),
        )

    def selects(self, entity: Entity) -> bool:
        return (self.type is None or entity.type == self.type) and all(
            json_equal(value_at(entity.metadata, path), value) for path, value in self.values
        )


def json_equal(left: JsonValue, right: JsonValue) -> bool:
    """Return whether two values are equal as JSON: `true` is not a number, and 1 equals 1.0."""
    # To Python, True == 1.
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(json_equal(left[key], right[key]) for key in left)
    if isinstance(left, str) or isinstance(right, str):
        return left == right
    if isinstance(left, Sequence) and isinstance(right, Sequence):
        return len(left) == len(right) and all(map(json_equal, left, right))
    return left == right


def _parse_path(path: str) -> tuple[str, ...]:
    parts = tuple(check_text("filter path", path).split("."))
    if not all(parts):
        raise InvalidInputError(
            f"filter path {path!r} has an empty part: use keys joined by dots, as in 'a.b'"
        )
    return parts


def value_at(metadata: JsonValue, path: tuple[str, ...]) -> JsonValue:
    value = metadata
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def flatten(metadata: Metadata) -> list[tuple[str, str]]:
    """Return the `field_of` of each value that a filter can name, containers included, lists as a whole.

    A value of None has no field, as what is missing has none. So a filter selects an entity if its metadata
    has the filter's field or, where the value is None, no field of that path: see `path_of`.
    """
    return [
        (path_of(path), _short(canonical))
        for key, value in metadata.items()
        if _is_named(key)
        for path, canonical in _walk((key,), value)
        if canonical != "null"
    ]


def field_of(path: tuple[str, ...], value: JsonValue) -> tuple[str, str]:
    """Return path and value as text, the same for equal paths and for values that are equal as JSON."""
    return path_of(path), _short(_canonical(value))


def path_of(path: tuple[str, ...]) -> str:
    """Return the path as text, the same for equal paths."""
    return _short(_canonical(path))


def _walk(path: tuple[str, ...], value: JsonValue) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give each path from here on with its canonical text; this one last, made of those of its parts."""
    if not isinstance(value, Mapping):
        yield path, _canonical(value)
        return
    parts: dict[str, str] = {}
    for key, item in value.items():
        if not _is_named(key):
            parts[key] = _canonical(item)
            continue
        for below, canonical in _walk((*path, key), item):
            yield below, canonical
        parts[key] = canonical
    yield path, _object(parts)


def _is_named(key: str) -> bool:
    """Return whether a filter can name the key: else neither it nor what is below needs a field."""
    return bool(key) and "." not in key


def _canonical(value: JsonValue) -> str:
    """Write JSON in one way only: keys sorted, no spaces, and numbers that are equal written alike."""
    if isinstance(value, str):
        return _encode(value)
    if isinstance(value, Mapping):
        return _object({key: _canonical(item) for key, item in value.items()})
    if isinstance(value, Sequence):
        return f"[{','.join(map(_canonical, value))}]"
    # 1.0 and 1 are one number to JSON.
    return _encode(int(value) if isinstance(value, float) and value.is_integer() else value)


def _object(parts: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{_encode(key)}:{parts[key]}' for key in sorted(parts))}}}"


def _short(text: str) -> str:
    """Return the text, or its digest if it is long; no JSON starts like one."""
    encoded = text.encode()
    return text if len(encoded) <= _MAX_BYTES else f"#{sha256(encoded).hexdigest()}"
