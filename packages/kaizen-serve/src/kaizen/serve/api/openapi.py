"""Describe the API as OpenAPI 3.1 does, from the table of operations."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from kaizen.serve.__about__ import __version__
from kaizen.serve.api import changes, reading, recalling
from kaizen.serve.api.operations import InNamespace, Nothing, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OPERATIONS: tuple[Operation, ...] = (*recalling.OPERATIONS, *changes.OPERATIONS, *reading.OPERATIONS)
_SCHEMAS = "#/components/schemas/{model}"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class ServedSnapshot(BaseModel):
    """The tips that agents may be shown, the best backed first; docs/reference/recall.md has the fields."""

    format: str
    schema_version: int
    namespace: str
    salt: str
    digest: str
    tips: list[dict[str, Any]]


class NamedSnapshot(InNamespace):
    namespace: str = Field(
        pattern=InNamespace.model_json_schema()["properties"]["namespace"]["anyOf"][0]["pattern"]
    )


def operation_ids() -> list[str]:
    """Return the names of all operations."""
    return [one["operationId"] for path in document()["paths"].values() for one in path.values()]


@cache
def document() -> dict[str, Any]:
    """Return the description."""
    shapes: list[type[BaseModel]] = [Problem, ServedSnapshot]
    shapes += [operation.gives for operation in OPERATIONS]
    shapes += [operation.body for operation in OPERATIONS if operation.body is not Nothing]
    # As they are sent: a field with a default may be missing in what is taken, never in what is given.
    gives = {ServedSnapshot, Problem, *(operation.gives for operation in OPERATIONS)}
    refs, defined = models_json_schema(
        [(shape, "serialization" if shape in gives else "validation") for shape in dict.fromkeys(shapes)],
        ref_template=_SCHEMAS,
    )
    of = {shape: ref for (shape, _), ref in refs.items()}
    paths: dict[str, dict[str, Any]] = dict(_snapshot_paths(of))
    for operation in OPERATIONS:
        paths.setdefault(_plain(operation.path), {})[operation.method.lower()] = _described(operation, of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kaizen",
            "version": __version__,
            "description": "What agents learned, and what it does. Times are RFC 3339 in UTC.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "security": [{"token": []}, {}],
        "components": {
            "schemas": defined["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, of: Mapping[Any, Any]) -> dict[str, Any]:
    body = operation.body is not Nothing
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": list(_parameters(operation.parameters, operation.in_path)),
        **({"requestBody": {"required": True, "content": _json(of[operation.body])}} if body else {}),
        "responses": {
            str(operation.status): {"description": "Done.", "content": _json(of[operation.gives])},
            **_failures(of),
        },
    }


def _failures(of: Mapping[Any, Any]) -> dict[str, Any]:
    """Return that any other answer is a problem."""
    content = {"application/problem+json": {"schema": of[Problem]}}
    return {"default": {"description": "It did not work, as `detail` says.", "content": content}}


def _parameters(shape: type[BaseModel], in_path: Iterable[str]) -> Iterator[dict[str, Any]]:
    schema = shape.model_json_schema()
    for name, described in schema["properties"].items():
        # No value is the word null.
        options = [one for one in described.get("anyOf", [described]) if one != {"type": "null"}]
        kept = {key: value for key, value in options[0].items() if key not in ("title", "description")}
        yield {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in schema.get("required", ()),
            "description": described.get("description", ""),
            "schema": kept,
        }


def _snapshot_paths(of: Mapping[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, name, shape, in_path in (
        ("/v1/snapshot", "default_snapshot", InNamespace, ()),
        ("/v1/snapshot/{namespace}", "snapshot", NamedSnapshot, ("namespace",)),
    ):
        yield (
            path,
            {
                "get": {
                    "operationId": name,
                    "summary": "Read the tips that agents may be shown.",
                    "description": "Needs the scope `read`. Send the `ETag` back as `If-None-Match`.",
                    "parameters": list(_parameters(shape, in_path)),
                    "responses": {
                        "200": {
                            "description": "The tips.",
                            "headers": {"ETag": {"schema": {"type": "string"}}},
                            "content": _json(of[ServedSnapshot]),
                        },
                        "304": {"description": "Nothing is new."},
                        **_failures(of),
                    },
                }
            },
        )


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
