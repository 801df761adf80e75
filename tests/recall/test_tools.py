"""Tools are known by name, whatever server they are of, and by the version that the sync computes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kaizen.recall.marks import add
from kaizen.recall.tools import is_same_tool, offered_tools
from kaizen.sync.trajectory.tool_definitions import tool_versions

SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string", "description": "é \ud83d\ude00"}},
    "required": ["id"],
}
FUNCTION = {"name": "cancel_order", "description": "Cancel.", "parameters": SCHEMA, "strict": True}

SHAPES: list[Any] = [
    {"type": "function", "function": FUNCTION},
    {"type": "function", **FUNCTION},
    FUNCTION,
    {"name": "cancel_order", "description": "Cancel.", "input_schema": SCHEMA},
    {"name": "cancel_order", "inputSchema": SCHEMA},
    {"toolSpec": {"name": "cancel_order", "inputSchema": {"json": SCHEMA}}},
    {"type": "custom", "custom": {"name": "cancel_order"}},
    {"type": "web_search"},
    {"function_declarations": [FUNCTION, {"name": "get_order"}]},
    {"functionDeclarations": [FUNCTION]},
    {"type": "function"},
    {"type": "object"},
    {},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_version_is_the_one_that_the_sync_computes_from_a_trace(shape: Any) -> None:
    assert offered_tools([shape]) == tool_versions([json.dumps(shape)])


def test_the_versions_of_a_list_are_those_of_its_tools() -> None:
    assert offered_tools(SHAPES) == tool_versions([json.dumps(shape) for shape in SHAPES])


def test_a_note_in_the_description_makes_no_other_version() -> None:
    noted = {**FUNCTION, "description": add("Cancel.", "[kaizen] Learned:\n- a\n[/kaizen]")}
    assert offered_tools([{"type": "function", "function": noted}]) == offered_tools([FUNCTION])


def test_names_and_objects_have_no_version() -> None:
    assert offered_tools(["a", SimpleNamespace(name="b"), SimpleNamespace(), 3, None]) == {"a": "", "b": ""}


def test_a_definition_that_is_not_json_has_no_version() -> None:
    assert offered_tools([{"name": "a", "parameters": object()}]) == {"a": ""}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("cancel", "cancel", True),
        ("mcp__orders__cancel", "cancel", True),
        ("cancel", "mcp__orders__cancel", True),
        ("mcp__orders__cancel", "orders__cancel", True),
        ("mcp__orders__cancel", "mcp__flights__cancel", False),
        ("recancel", "cancel", False),
        ("re_cancel", "cancel", False),
    ],
)
def test_the_prefix_of_a_server_makes_no_other_tool(one: str, other: str, is_same: bool) -> None:
    assert is_same_tool(one, other) is is_same
