"""The tools that a model is offered: names, and the versions of their definitions. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from kaizen.recall.marks import strip_marked

_LISTS = ("function_declarations", "functionDeclarations", "tools")
_WRAPPERS = ("function", "toolSpec", "custom")


def offered_tools(tools: Iterable[Any]) -> dict[str, str]:
    """Return the version of each tool by name; "" if only its name is known.

    Tools may be names, definitions in the shapes of all providers, or objects that have a `name`.
    """
    offered: dict[str, str] = {}
    pending = list(tools)[::-1]
    while pending:
        tool = pending.pop()
        if isinstance(tool, str):
            offered[tool] = ""
        elif isinstance(tool, Mapping):
            listed = next((tool[key] for key in _LISTS if isinstance(tool.get(key), list)), None)
            if listed is not None:
                pending += listed[::-1]
            elif name := _name(definition := unwrapped(tool)):
                offered[name] = version(definition)
        elif isinstance(named := getattr(tool, "name", None), str):
            offered[named] = ""
    return offered


def unwrapped(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the definition itself, out of `{"type": "function", "function": {...}}` and the like."""
    return next((tool[key] for key in _WRAPPERS if isinstance(tool.get(key), Mapping)), tool)


def version(definition: Mapping[str, Any]) -> str:
    """Return the hash of a definition as kaizen-sync computes it from a trace; "" if it is not JSON."""
    parts = {key: part for key, part in definition.items() if key != "type" or "name" not in definition}
    if isinstance(text := parts.get("description"), str):
        parts["description"] = strip_marked(text)
    # Whether a tool without a description has an empty one differs from tracer to tracer.
    if not parts.get("description"):
        parts.pop("description", None)
    try:
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return ""
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def bare_name(name: str) -> str:
    """Return the name without the prefix of its MCP server: `cancel` for `mcp__orders__cancel`."""
    return name.rpartition("__")[2] or name


def is_same_tool(one: str, other: str) -> bool:
    """Return whether the names are equal, or one is the other with the prefix of a server."""
    return one == other or one.endswith(f"__{other}") or other.endswith(f"__{one}")


def _name(definition: Mapping[str, Any]) -> str:
    name = definition.get("name") or definition.get("type")
    return name if isinstance(name, str) and name not in ("function", "object") else ""
