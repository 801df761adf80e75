"""Agents that are given tips, and what their model was sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kaizen.demo.model_server import Scenarios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.demo.model_server import RecordedRequest

TASK = "Book a train with luggage from Basel to Milano."
SYSTEM = "You book trains."

_STEPS = [
    {"tool_calls": [{"name": "find_trains", "arguments": {"day": "2026-03-14"}}]},
    {"tool_calls": [{"name": "book_train", "arguments": {"train": "EC 51"}}]},
    {"text": "Booked."},
]
_CODE_STEPS = [
    {"text": "I search.\n<code>\nprint(find_trains('2026-03-14'))\n</code>"},
    {"text": "I am done.\n<code>\nfinal_answer('Booked.')\n</code>"},
]
_SMOLAGENTS = [*_STEPS[:2], {"tool_calls": [{"name": "final_answer", "arguments": {"answer": "Booked."}}]}]
_HANDED_OVER = [{"tool_calls": [{"name": "transfer_to_booker", "arguments": {}}]}]

SCENARIOS = Scenarios.from_json(
    {
        "agents": [
            {"name": "smolagents", "when": {"tools": ["find_trains", "final_answer"]}, "steps": _SMOLAGENTS},
            {"name": "handoff", "when": {"tools": ["transfer_to_booker"]}, "steps": _HANDED_OVER},
            {"name": "code", "when": {"system": "def find_trains("}, "steps": _CODE_STEPS},
            {
                "name": "parsed",
                "when": {"tools": ["find_trains"], "schema": "Answer"},
                "steps": [*_STEPS[:2], {"json": {"text": "Booked."}}],
            },
            {"name": "tools", "when": {"tools": ["find_trains"]}, "steps": _STEPS},
        ]
    }
)

# What all agents begin with. `ask` and `tools` are the application's own objects, which nobody may change.
AGENT = f"""
import asyncio, copy, json, os, sys
import kaizen.auto
from kaizen.auto import agent_run

TASK, SYSTEM = {TASK!r}, {SYSTEM!r}
"""
AGENT += '''
def tool(name, parameter):
    shape = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    function = {"name": name, "description": "About trains.", "parameters": shape}
    return {"type": "function", "function": function}

CHAT_TOOLS = [tool("find_trains", "day"), tool("book_train", "train")]
RESPONSES_TOOLS = [{"type": "function", **one["function"]} for one in CHAT_TOOLS]
FUNCTIONS = [one["function"] for one in CHAT_TOOLS]

class Watch:
    """Fails if what is handed to a call is another afterwards: each object in it, and its bytes."""
    def __init__(self, *values):
        self.values, self.before = values, copy.deepcopy(values)
        self.ids = [[id(item) for item in value] for value in values if isinstance(value, list)]
    def __enter__(self): return self
    def __exit__(self, *_):
        assert repr(self.values) == repr(self.before), (self.values, self.before)
        assert self.ids == [[id(item) for item in value] for value in self.values if isinstance(value, list)]

def messages_of(system=SYSTEM, role="system"):
    asked = [{"role": "user", "content": TASK}]
    return [{"role": role, "content": system}, *asked] if system else asked

def results_of(message):
    if isinstance(message, dict):
        message = type("Message", (), {"tool_calls": None, "function_call": None, **message})
    return [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in message.tool_calls or ()]
'''


def sent(requests: Sequence[RecordedRequest]) -> dict[str, list[dict[str, Any]]]:
    """What the model was sent, by the name of the model, which each run has of its own."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for request in requests:
        if isinstance(request.body, dict) and "model" in request.body:
            runs.setdefault(request.body["model"], []).append(request.body)
    return runs


def beginning(body: dict[str, Any]) -> str:
    """What a provider caches of a request, and every call of a run must have: tools and instructions."""
    messages = body.get("messages") or (body["input"] if isinstance(body["input"], list) else [])
    systems = [one for one in messages if one.get("role") in ("system", "developer")]
    return json.dumps([body.get("tools"), body.get("functions"), body.get("instructions"), systems])


def conversation(body: dict[str, Any]) -> list[str]:
    messages = body.get("messages") or body.get("input")
    return [json.dumps(one) for one in messages] if isinstance(messages, list) else [json.dumps(messages)]


def count(body: dict[str, Any], mark: str) -> int:
    return json.dumps(body, ensure_ascii=False).count(mark)
