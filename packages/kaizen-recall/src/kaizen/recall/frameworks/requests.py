"""Reads requests of chat completions, the Responses API and smolagents, and adds tips to a copy. Pure."""

from __future__ import annotations

import copy
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.recall.marks import add, is_marked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.recall.recalled import Recalled

_SYSTEM = ("system", "developer")
# How smolagents describes the tools of an agent that writes code.
_CODE_TOOL = re.compile(r"^def (\w+)\(.*\) -> .*:$", re.MULTILINE)
_TELLING_CHARS = 30
_TOOL_LISTS = ("tools", "functions", "tools_to_call_from")


@dataclass(frozen=True)
class Request:
    """What a model is asked, as far as tips depend on it.

    `values` are the arguments of the call. Of the Responses API, `conversation` are the ids of the response
    or the conversation that it goes on with, whose messages it does not repeat.
    """

    values: Mapping[str, Any]
    messages: Sequence[Any]
    instructions: str
    conversation: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The first message of the user."""
        return next((_text(message) for message in self.messages if _get(message, "role") == "user"), "")

    @property
    def tools(self) -> list[Any]:
        """The tools that are offered: definitions, or the names of those that the instructions describe."""
        offered = [tool for name in _TOOL_LISTS for tool in _listed(self.values, name)]
        return offered or _CODE_TOOL.findall(self.instructions)

    @property
    def definitions(self) -> list[Any]:
        """The tools as a trace holds them, so that recall sees whether their definitions have changed."""
        return list(map(_as_json, self.tools))

    @property
    def is_given_tips(self) -> bool:
        """Whether somebody has put tips into it already."""
        descriptions = (str(_get(_definition(tool), "description") or "") for tool in self.tools)
        return is_marked(self.instructions) or any(map(is_marked, descriptions))

    @property
    def is_beginning(self) -> bool:
        """Whether the model has not answered yet."""
        answered = any(_get(message, "role") == "assistant" for message in self.messages)
        return not answered and not self.conversation

    def ids(self) -> Iterator[str]:
        """Yield the ids of calls of tools, the newest first."""
        for message in reversed(self.messages):
            yield from _ids(message)

    def fingerprints(self) -> Iterator[str]:
        """Yield a hash of each message that no other conversation has, the newest first."""
        yield from filter(None, map(_fingerprint, reversed(self.messages)))


def _ids(message: Any) -> Iterator[str]:
    calls = _get(message, "tool_calls")
    named = [_get(call, "id") for call in calls] if isinstance(calls, list | tuple) else []
    for found in (_get(message, "tool_call_id"), _get(message, "call_id"), *named):
        if isinstance(found, str):
            yield found


def read_answer(answer: Any) -> tuple[list[str], list[str]]:
    """Return what the next call is known by: the ids of the answer and its calls, hashes of its messages."""
    messages = [_get(choice, "message") for choice in getattr(answer, "choices", None) or ()]
    messages += getattr(answer, "output", None) or ()
    own = getattr(answer, "id", None)
    ids = [*([own] if isinstance(own, str) else []), *(one for message in messages for one in _ids(message))]
    return ids, list(filter(None, map(_fingerprint, messages)))


def _fingerprint(message: Any) -> str:
    """Return a hash of a message; empty if it says what many say, such as "go on"."""
    text, ids = _text(message), list(_ids(message))
    if len(text) < _TELLING_CHARS and not ids:
        return ""
    parts = repr((str(_get(message, "role")), text, str(_get(message, "output")), ids))
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=12).hexdigest()


def read_chat(values: Mapping[str, Any]) -> Request | None:
    """Read a request with `messages`: of chat completions, or of smolagents."""
    messages = values.get("messages")
    if not isinstance(messages, list | tuple) or not messages:
        return None
    return Request(values, messages, "\n".join(map(_text, messages[: _leading(messages)])))


def read_responses(values: Mapping[str, Any]) -> Request | None:
    """Read a request of the Responses API."""
    asked = values.get("input")
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(messages, list | tuple):
        return None
    given = values.get("instructions")
    texts = [given if isinstance(given, str) else "", *map(_text, messages[: _leading(messages)])]
    follows = values.get("previous_response_id"), _id(values.get("conversation"))
    conversation = tuple(one for one in follows if isinstance(one, str) and one)
    return Request(values, messages, "\n".join(filter(None, texts)), conversation)


def with_tips_in_chat(request: Request, recalled: Recalled) -> dict[str, Any]:
    """Return the arguments with the tips in them; nothing that the caller holds is changed."""
    values, text = _with_notes(request, recalled)
    if text:
        values["messages"] = _with_block(request.messages, text)
    return values


def with_tips_in_responses(request: Request, recalled: Recalled, *, is_kept: bool) -> dict[str, Any]:
    """Return the arguments with the tips in them; nothing that the caller holds is changed.

    Instructions hold for one call only. Messages are kept by the API: `is_kept` says that it has the block.
    """
    values, text = _with_notes(request, recalled)
    if not text or is_kept:
        return values
    if given := values.get("instructions"):
        values["instructions"] = add(given, text)
    elif is_block_in_messages(request):
        values["input"] = _with_block(request.messages, text, kind="input_text", role="developer")
    else:
        values["instructions"] = text
    return values


def is_block_in_messages(request: Request) -> bool:
    """Return whether the block goes into a message, which the Responses API keeps."""
    # A stored prompt has instructions of its own, which others would replace.
    in_messages = _leading(request.messages) > 0 or bool(request.values.get("prompt"))
    return in_messages and not request.values.get("instructions")


def _with_notes(request: Request, recalled: Recalled) -> tuple[dict[str, Any], str]:
    """Return a copy of the arguments with the notes, and the block that is still to be placed."""
    values = dict(request.values)
    described = {_get(_definition(tool), "name") for tool in request.tools}
    if not described.issuperset(recalled.notes):
        return values, recalled.full_text
    for name in _TOOL_LISTS:
        if tools := _listed(values, name):
            values[name] = [_with_note(tool, recalled.notes) for tool in tools]
    return values, recalled.text


def _with_note(tool: Any, notes: Mapping[str, str]) -> Any:
    definition = _definition(tool)
    note = notes.get(_get(definition, "name") or "")
    if not note:
        return tool
    described = _copied(definition, "description", add(_get(definition, "description") or "", note))
    return described if definition is tool else {**tool, "function": described}


def _with_block(messages: Sequence[Any], text: str, *, kind: str = "text", role: str = "system") -> list[Any]:
    """Return the messages with the block at the end of the instructions, or else as the first message."""
    at = _leading(messages) - 1
    if at < 0:
        return [{"role": role, "content": text}, *messages]
    content = _get(messages[at], "content")
    if isinstance(content, list | tuple):
        extended: Any = [*content, {"type": kind, "text": text}]
    else:
        extended = add(content or "", text)
    return [*messages[:at], _copied(messages[at], "content", extended), *messages[at + 1 :]]


def _leading(messages: Sequence[Any]) -> int:
    """Return how many messages of the system or the developer come first."""
    roles = [_get(message, "role") for message in messages]
    return next((at for at, role in enumerate(roles) if role not in _SYSTEM), len(roles))


def _listed(values: Mapping[str, Any], name: str) -> list[Any]:
    listed = values.get(name)
    return list(listed) if isinstance(listed, list | tuple) else []


def _definition(tool: Any) -> Any:
    """Return the part of a tool that has the name and the description."""
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    return inner if isinstance(inner, Mapping) else tool


def _as_json(tool: Any) -> Any:
    as_json = getattr(sys.modules.get("smolagents.models"), "get_tool_json_schema", None)
    if as_json is None or isinstance(tool, Mapping | str):
        return tool
    try:
        return as_json(tool)
    except Exception:  # noqa: BLE001 - its name is enough
        return tool


def _copied(value: Any, name: str, item: Any) -> Any:
    if isinstance(value, Mapping):
        return {**value, name: item}
    copied = copy.copy(value)
    setattr(copied, name, item)
    return copied


def _text(message: Any) -> str:
    content = _get(message, "content")
    if isinstance(content, list | tuple):
        texts = (_get(part, "text") for part in content)
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _id(value: Any) -> Any:
    return _get(value, "id") if isinstance(value, Mapping) else value


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
