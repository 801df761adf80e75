"""Read what a model is asked: one value for chat completions and Responses requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any

MARKED_SCHEMAS = ("kaizen_tips", "kaizen_reconcile", "kaizen_segments")
"""Schemas that a prompt may ask for by name alone, where the client sends no response_format."""

RESPONSE_ID = re.compile(r"resp_[0-9a-f]+_(?P<step>\d+)_(?P<scenario>.+)")


class RequestError(ValueError):
    """The request body is not one that the endpoint takes."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message or item: role is system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation so far, with what the client offers and asks for.

    ``resumed`` is the scenario and the step that a ``previous_response_id`` stands for. ``descriptions`` are
    those of the tools.
    """

    turns: tuple[Turn, ...]
    tools: tuple[str, ...] = ()
    schema_name: str | None = None
    resumed: tuple[str, int] | None = None
    descriptions: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """How often the model has answered before; parallel calls and their text are one answer."""
        roles = [role for role, _ in groupby(turn.role for turn in self.turns)]
        return roles.count("assistant") + (self.resumed[1] if self.resumed else 0)

    def first(self, role: str) -> str:
        return next((turn.text for turn in self.turns if turn.role == role), "")

    @property
    def instructions(self) -> str:
        """What the model is told to heed: the system's messages and the descriptions of the tools."""
        told = [turn.text for turn in self.turns if turn.role == "system"]
        return "\n".join([*told, *self.descriptions])

    @property
    def text(self) -> str:
        """Everything but the system's instructions, in order."""
        return "\n".join(turn.text for turn in self.turns if turn.role != "system")


def from_chat(body: dict[str, Any]) -> Conversation:
    """Read the body of a chat completions request."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError("Missing required parameter: 'messages'.")
    turns = tuple(Turn(_role(message["role"]), _chat_text(message)) for message in messages)
    form = body.get("response_format") or {}
    offered = [tool["function"] for tool in body.get("tools") or () if "function" in tool]
    tools = tuple(tool["name"] for tool in offered)
    named = (form.get("json_schema") or {}).get("name")
    return Conversation(turns, tools, named or _marker(turns, tools), descriptions=_descriptions(offered))


def from_responses(body: dict[str, Any]) -> Conversation:
    """Read the body of a Responses request."""
    asked = body.get("input")
    if not isinstance(asked, str | list):
        raise RequestError("Missing required parameter: 'input'.")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    instructions = body.get("instructions")
    system = (Turn("system", instructions),) if instructions else ()
    turns = system + tuple(_item_turn(item) for item in items)
    form = (body.get("text") or {}).get("format") or {}
    resumed = RESPONSE_ID.fullmatch(body.get("previous_response_id") or "")
    offered = [tool for tool in body.get("tools") or () if "name" in tool]
    tools = tuple(tool["name"] for tool in offered)
    return Conversation(
        turns,
        tools,
        form.get("name") or _marker(turns, tools),
        (resumed["scenario"], int(resumed["step"])) if resumed else None,
        _descriptions(offered),
    )


def _descriptions(offered: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(tool.get("description") or "" for tool in offered)


def _role(role: str) -> str:
    # Newer and older names of the same roles.
    return {"developer": "system", "function": "tool"}.get(role, role)


def _chat_text(message: dict[str, Any]) -> str:
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    called = [f"{call.get('name')} {call.get('arguments')}" for call in calls]
    return "\n".join(part for part in (_content_text(message.get("content")), *called) if part)


def _item_turn(item: dict[str, Any]) -> Turn:
    match item.get("type", "message"):
        case "message":
            return Turn(_role(item.get("role", "user")), _content_text(item.get("content")))
        case "function_call":
            return Turn("assistant", f"{item.get('name')} {item.get('arguments')}")
        case "function_call_output":
            return Turn("tool", _content_text(item.get("output")))
        case _:
            # Reasoning and the like: the model's own, and no text for a scenario to match.
            return Turn("assistant", "")


def _content_text(content: object) -> str:
    if isinstance(content, list):
        texts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _marker(turns: tuple[Turn, ...], tools: tuple[str, ...]) -> str | None:
    if tools:
        return None
    return next((name for name in MARKED_SCHEMAS for turn in turns if name in turn.text), None)
