"""Which entities a filter selects: one meaning for every backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from kaizen.store.errors import InvalidInputError
from kaizen.store.validation import check_text, check_type, clean_json

if TYPE_CHECKING:
    from kaizen.store.model import Entity, JsonValue


@dataclass(frozen=True, slots=True)
class Filter:
    """A type, and values that metadata must have at paths."""

    type: str | None
    values: tuple[tuple[tuple[str, ...], JsonValue], ...]

    @classmethod
    def parse(cls, type_: str | None, where: Mapping[str, JsonValue] | None) -> Self:
        """Check what a caller passed as `type` and `where`; raises `InvalidInputError`."""
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
    """Equality of JSON, where `true` is no number and 1 equals 1.0."""
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
