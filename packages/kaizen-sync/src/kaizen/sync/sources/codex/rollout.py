"""A session of Codex: a rollout, JSON lines of what the model was given and what came back.

Source: rollouts of versions 0.20 to 0.139, as Codex's own sources and public parsers describe them. Before
0.32 the lines were the items themselves, without `type` and `payload` around them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Message, ToolCall, Usage
from kaizen.sync.sources.conversations import (
    Transcript,
    error_result,
    read_count,
    read_time,
    spans_of,
)
from kaizen.sync.trajectory.chat import messages_of_json
from kaizen.sync.trajectory.json_text import as_text, json_or_none

if TYPE_CHECKING:
    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.following import Place

_Record = Mapping[str, Any]

_CWD = re.compile(r"<cwd>([^<]+)</cwd>|Current working directory: (\S+)")
# What the program itself puts into the mouth of the user.
_NOT_SAID = re.compile(r"\s*(?:<[a-z_]+[ >]|# AGENTS\.md instructions|<INSTRUCTIONS>)")
_HEADER = re.compile(r"\A(?:(?:Chunk ID|Wall time|Process exited|Exit code|Original token count)[^\n]*\n)+")
_EXIT = re.compile(r"(?:Exit code:?|Process exited with code) (-?\d+)")
_SHELLS = ("bash", "sh", "zsh")


class RolloutReader:
    """Reads sessions that worked in the directory `project` or below it."""

    def __init__(self, project: str) -> None:
        self._projects = {project, os.path.realpath(project)}

    def wants(self, first: Any) -> bool:
        meta = _payload(first, "session_meta") if isinstance(first, Mapping) else {}
        return not meta.get("cwd") or self._is_ours(str(meta["cwd"]))

    def reads_whole(self, first: Any) -> bool:
        return True

    def read(self, values: Sequence[Any], place: Place) -> list[Span]:
        records = [value for value in values if isinstance(value, Mapping)]
        meta = next((found for one in records if (found := _payload(one, "session_meta"))), {})
        if not self._is_ours(str(meta.get("cwd") or _told_cwd(records))):
            return []
        transcript = _transcript(records, place)
        # Before 0.32 the first line was the description of the session itself.
        session = str(meta.get("id") or records[0].get("id") or place.path.stem)
        parent = _parent(meta)
        if transcript is None:
            return []
        return spans_of(parent, transcript, agent=session) if parent else spans_of(session, transcript)

    def _is_ours(self, cwd: str) -> bool:
        return bool(cwd) and any(PurePath(cwd).is_relative_to(project) for project in self._projects)


def _payload(record: _Record, kind: str) -> _Record:
    payload = record.get("payload") if record.get("type") == kind else None
    return payload if isinstance(payload, Mapping) else {}


def _parent(meta: _Record) -> str:
    """Return the session that started this one as its sub-agent."""
    value: Any = meta.get("source")
    for name in ("subagent", "thread_spawn", "parent_thread_id"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value or "")


def _told_cwd(records: Sequence[_Record]) -> str:
    """Return the directory as older versions tell it to the model."""
    for message in messages_of_json([_item(record) for record in records[:20]]):
        if found := _CWD.search(message.content):
            return (found[1] or found[2]).strip()
    return ""


def _item(record: _Record) -> _Record:
    """Return the item of a record; older versions have nothing around it."""
    return _payload(record, "response_item") or ({} if "payload" in record else record)


def _transcript(records: Sequence[_Record], place: Place) -> Transcript | None:
    messages: list[Message] = []
    model, usage, error = "", Usage(), ""
    for record in records:
        event = _payload(record, "event_msg")
        kind = event.get("type")
        model = str(_payload(record, "turn_context").get("model") or model)
        if kind == "token_count":
            usage = _usage(event) or usage
        elif kind == "thread_rolled_back":
            _take_back(messages, event.get("num_turns"))
        elif kind in ("error", "task_started", "turn_started"):
            error = str(event.get("message") or "the model's provider failed") if kind == "error" else ""
        messages += _messages(_item(record))
    if not messages:
        return None
    times = [time for record in records if (time := read_time(record.get("timestamp")))]
    return Transcript(
        messages=messages,
        start_time=min(times, default=place.first_seen),
        end_time=max(times, default=place.changed),
        model=model,
        usage=usage,
        error=error,
    )


def _messages(item: _Record) -> Iterator[Message]:
    kind, call_id = item.get("type"), as_text(item.get("call_id") or item.get("id"))
    if kind in ("function_call", "custom_tool_call"):
        given = item.get("arguments") if kind == "function_call" else {"input": item.get("input")}
        yield _call(call_id, as_text(item.get("name")), given)
    elif kind == "local_shell_call":
        action = item.get("action")
        command = action.get("command") if isinstance(action, Mapping) else None
        yield _call(call_id, "local_shell", {"command": command})
    elif kind in ("function_call_output", "custom_tool_call_output", "local_shell_call_output"):
        yield Message(role="tool", content=_result(item.get("output")), tool_call_id=call_id)
    elif kind == "message" and item.get("role") in ("user", "assistant"):
        for message in messages_of_json(dict(item)):
            if message.role != "user" or not _NOT_SAID.match(message.content):
                yield message


def _call(call_id: str, name: str, given: Any) -> Message:
    """Return a call; a command that is given to a shell is written as one writes it there."""
    arguments = json_or_none(given) if isinstance(given, str) else given
    text = as_text(given)
    if isinstance(arguments, dict):
        command = arguments.get("command")
        if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
            is_script = len(command) == 3 and PurePath(command[0]).name in _SHELLS
            arguments = {**arguments, "command": command[2] if is_script else " ".join(command)}
        text = json.dumps(arguments, ensure_ascii=False)
    return Message(role="assistant", tool_calls=(ToolCall(id=call_id, name=name, arguments=text),))


def _result(output: Any) -> str:
    """Return what a call gave, with its exit code in front if that is not 0."""
    value = json_or_none(output) if isinstance(output, str) else output
    if isinstance(value, list):
        return "\n".join(as_text(part.get("text")) for part in value if isinstance(part, Mapping))
    if isinstance(value, Mapping) and isinstance(value.get("metadata"), Mapping):
        code = value["metadata"].get("exit_code")
        text = as_text(value.get("output")).strip()
    elif isinstance(value, Mapping) and "content" in value and "success" in value:
        text = as_text(value["content"])
        return error_result(text) if value["success"] is False else text
    else:
        text = as_text(output)
        header = _HEADER.match(text)
        found = _EXIT.search(header[0]) if header else None
        code = int(found[1]) if found else 0
        text = text[header.end() :].removeprefix("Output:").strip() if header else text.strip()
    return f"Exit code {code}\n{text}" if isinstance(code, int) and code else text


def _take_back(messages: list[Message], turns: Any) -> None:
    """Remove the last turns, each of which begins with what the user said."""
    for _ in range(turns if isinstance(turns, int) else 0):
        while messages and messages.pop().role != "user":
            pass


def _usage(event: _Record) -> Usage | None:
    """Return the tokens that the session has used so far, as it counts them."""
    info = event.get("info")
    total = info.get("total_token_usage") if isinstance(info, Mapping) else None
    if not isinstance(total, Mapping):
        return None
    prompt, completion = (read_count(total.get(name)) for name in ("input_tokens", "output_tokens"))
    return Usage(prompt_tokens=prompt, completion_tokens=completion)
