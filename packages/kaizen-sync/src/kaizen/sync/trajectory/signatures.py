"""The tools that a run was offered, one line each: name and parameters, from whatever schema there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kaizen.sync.trajectory.json_text import json_or_none

_LINE_CHARS = 200


def signatures(schemas: Sequence[str]) -> list[str]:
    """Such as `find_trains(origin: string, date?: string)`; what is no schema is shown as it is, cut."""
    return [_one_line(line) for schema in schemas for line in _lines(schema)]


def _lines(schema: str) -> Iterator[str]:
    value = json_or_none(schema)
    found = list(_functions(value)) if isinstance(value, Mapping) else []
    yield from found or [schema]


def _functions(value: Mapping[str, Any]) -> Iterator[str]:
    """OpenAI's chat and Responses shape, Anthropic's and Gemini's."""
    declared = value.get("function_declarations") or value.get("functionDeclarations")
    if isinstance(declared, Sequence):
        yield from (line for one in declared if isinstance(one, Mapping) for line in _functions(one))
        return
    function = value.get("function")
    value = function if isinstance(function, Mapping) else value
    name = value.get("name") or value.get("type")
    if isinstance(name, str):
        parameters = value.get("parameters") or value.get("input_schema") or value.get("inputSchema")
        yield f"{name}({', '.join(_parameters(parameters))})"


def _parameters(schema: Any) -> Iterator[str]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return
    required = schema.get("required")
    required = required if isinstance(required, Sequence) else ()
    for name, described in properties.items():
        kind = described.get("type") if isinstance(described, Mapping) else None
        mark = "" if name in required else "?"
        yield f"{name}{mark}: {kind}" if isinstance(kind, str) else f"{name}{mark}"


def _one_line(text: str) -> str:
    line = " ".join(text[: 4 * _LINE_CHARS].split())
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 4]} ..."
