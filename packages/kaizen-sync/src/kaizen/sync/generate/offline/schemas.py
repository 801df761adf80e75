"""The schemas of the tools that were offered, and what a call does that they do not allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kaizen.sync.generate.offline.masking import talks
from kaizen.sync.generate.offline.steps import is_name
from kaizen.sync.trajectory.tool_definitions import read_definitions

_MOST_VALUES = 12
_LONGEST_VALUE = 40

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "array": list,
    "object": dict,
    "boolean": bool,
    "integer": (int, float),
    "number": (int, float),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a tool takes: the schema of each argument by name, and which it cannot do without."""

    tool: str
    arguments: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong with one argument: it is missing, unknown, of another type, or none of the `allowed`."""

    kind: Literal["missing", "unknown", "type", "value"]
    argument: str
    allowed: str = ""


def read_schemas(tools: Iterable[str]) -> dict[str, Schema]:
    """Return the schemas by the names of their tools, without tools whose arguments are not described."""
    return {
        tool.name: _schema(tool.name, tool.parameters)
        for text in tools
        for tool in read_definitions(text)
        if tool.parameters is not None and is_name(tool.name)
    }


def _schema(tool: str, parameters: Mapping[str, Any]) -> Schema:
    properties = parameters.get("properties")
    required = parameters.get("required")
    arguments = properties if isinstance(properties, dict) else {}
    return Schema(
        tool=tool,
        arguments={name: one for name, one in arguments.items() if is_name(name) and isinstance(one, dict)},
        required=tuple(name for name in required if isinstance(name, str) and is_name(name))
        if isinstance(required, list)
        else (),
    )


def violation(arguments: Mapping[str, Any], schema: Schema) -> Violation | None:
    """Return the first thing that the schema does not allow; None if there is none, or it is empty."""
    if not schema.arguments:
        return None
    for name in schema.required:
        if name not in arguments:
            return Violation(kind="missing", argument=name)
    for name, value in arguments.items():
        if name not in schema.arguments:
            return Violation(kind="unknown", argument=name) if is_name(name) else None
        if found := _violation(name, value, schema.arguments[name]):
            return found
    return None


def _violation(name: str, value: Any, schema: Mapping[str, Any]) -> Violation | None:
    if value is None:
        return None
    kind = schema.get("type")
    if isinstance(kind, str) and (types := _TYPES.get(kind)):
        # In Python true is an int; in JSON it is not a number.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number if kind in ("integer", "number") else isinstance(value, types)
        if not fits:
            return Violation(kind="type", argument=name, allowed=kind)
    values = schema.get("enum")
    if isinstance(values, list) and values and value not in values and (allowed := _listed(values)):
        return Violation(kind="value", argument=name, allowed=allowed)
    return None


def _listed(values: list[Any]) -> str:
    """Return the values that are allowed; empty where there are too many of them, or one is no short text."""
    if len(values) > _MOST_VALUES or not all(isinstance(one, str) for one in values):
        return ""
    if any(len(one) > _LONGEST_VALUE or not one.isprintable() or talks(one) for one in values):
        return ""
    return ", ".join(f"'{one}'" for one in values)
