"""A session of Claude Code: JSON lines that form a tree of messages, and others about files and progress.

Source: transcripts of versions 1.0 to 2.1, as public parsers describe them; there is no specification. In
older versions the messages of sub-agents stand in the file of the session, in newer ones in `agent-*.jsonl`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Usage
from kaizen.sync.sources.conversations import (
    Transcript,
    error_result,
    read_count,
    read_time,
    spans_of,
)
from kaizen.sync.trajectory.chat import messages_of_json

if TYPE_CHECKING:
    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.following import Place

_Record = Mapping[str, Any]

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_TOOL_ERROR = re.compile(r"<tool_use_error>(.*?)</tool_use_error>", re.DOTALL)
# What the program itself puts into the mouth of the user.
_NOT_SAID = ("<command-", "<local-command-", "<bash-", "Caveat: ", "[Request interrupted")
_REFUSED = "The user doesn't want to "
_SYNTHETIC = "<synthetic>"
_INPUT_TOKENS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_MAIN = ""


class SessionReader:
    """Reads sessions that were started in the directory `project` or below it."""

    def __init__(self, project: str) -> None:
        self._projects = {project, os.path.realpath(project)}

    def wants(self, first: Any) -> bool:
        return True

    def reads_whole(self, first: Any) -> bool:
        return True

    def read(self, values: Sequence[Any], place: Place) -> list[Span]:
        """Return the spans of a session, or those that its sub-agents add to it."""
        records = _distinct(value for value in values if isinstance(value, Mapping))
        cwd = next((str(record["cwd"]) for record in records if record.get("cwd")), "")
        if cwd and not any(PurePath(cwd).is_relative_to(project) for project in self._projects):
            # Another directory whose name is written in the same way.
            return []
        threads = _threads(records)
        transcripts = {agent: found for agent, one in threads.items() if (found := _transcript(one, place))}
        session = place.path.name.partition(".")[0]
        if session.startswith("agent-"):
            session = next((str(r["sessionId"]) for r in records if r.get("sessionId")), session)
        return [span for agent, one in transcripts.items() for span in spans_of(session, one, agent=agent)]


def _distinct(records: Iterator[_Record]) -> list[_Record]:
    """Return the records, each once: a session that was resumed may hold some twice."""
    seen: set[str] = set()
    kept = []
    for record in records:
        uuid = record.get("uuid")
        if not (isinstance(uuid, str) and uuid in seen):
            kept.append(record)
            seen.add(str(uuid or ""))
    return kept


def _threads(records: Sequence[_Record]) -> dict[str, list[_Record]]:
    """Return the messages of the session and of each sub-agent, without those that the user took back."""
    taken_back = _taken_back(records)
    agents: dict[str, str] = {}
    threads: defaultdict[str, list[_Record]] = defaultdict(list)
    for record in records:
        uuid, agent = str(record.get("uuid") or ""), _MAIN
        if record.get("isSidechain"):
            # Without an id of its own, a sub-agent is known by its first message.
            parent = agents.get(str(record.get("parentUuid") or ""))
            agent = str(record.get("agentId") or parent or uuid or "agent")
            agents[uuid] = agent
        if record.get("type") in ("user", "assistant") and uuid not in taken_back:
            threads[agent].append(record)
    return threads


def _taken_back(records: Sequence[_Record]) -> set[str]:
    """Return the ids of all that follows from a prompt in whose place the user wrote another one later."""
    children: defaultdict[str, list[_Record]] = defaultdict(list)
    for record in records:
        if record.get("parentUuid") and record.get("uuid"):
            children[str(record["parentUuid"])].append(record)
    open_ = [
        str(record["uuid"])
        for siblings in children.values()
        for record in [sibling for sibling in siblings if _is_prompt(sibling)][:-1]
    ]
    found: set[str] = set()
    while open_:
        uuid = open_.pop()
        if uuid not in found:
            found.add(uuid)
            open_ += (str(child["uuid"]) for child in children.get(uuid, ()))
    return found


def _is_prompt(record: _Record) -> bool:
    message = record.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    if record.get("type") != "user" or record.get("isMeta") or record.get("isSidechain") or not content:
        return False
    return isinstance(content, str) or not any(
        isinstance(block, Mapping) and block.get("type") == "tool_result" for block in content
    )


def _transcript(records: Sequence[_Record], place: Place) -> Transcript | None:
    given = [message for record in records if (message := _message(record))]
    messages = messages_of_json(given)
    if not messages:
        return None
    times = [time for record in records if (time := read_time(record.get("timestamp")))]
    models = (str(m.get("model") or "") for m in given)
    return Transcript(
        messages=messages,
        start_time=min(times, default=place.first_seen),
        end_time=max(times, default=place.changed),
        model=next((model for model in models if model not in ("", _SYNTHETIC)), ""),
        usage=_usage(given),
        error=_last_error(records),
    )


def _message(record: _Record) -> dict[str, Any] | None:
    """Return the message of a record as it was given to the model; None if it is none."""
    message = record.get("message")
    is_ours = record.get("isMeta") or record.get("isCompactSummary") or record.get("isApiErrorMessage")
    if is_ours or not isinstance(message, Mapping):
        return None
    content = message.get("content")
    if isinstance(content, str):
        text = _REMINDER.sub("", content).strip()
        return {**message, "content": text} if text and not text.startswith(_NOT_SAID) else None
    blocks = [_block(block) for block in content or () if isinstance(block, Mapping)]
    kept = [block for block in blocks if block]
    return {**message, "content": kept} if kept else None


def _block(block: _Record) -> _Record | None:
    kind = block.get("type")
    if kind == "text":
        text = _REMINDER.sub("", str(block.get("text") or "")).strip()
        return {**block, "text": text} if text and not text.startswith(_NOT_SAID) else None
    if kind != "tool_result":
        return block
    text = _REMINDER.sub("", _result_text(block.get("content"))).strip()
    text = _TOOL_ERROR.sub(r"\1", text)
    is_failed = block.get("is_error") and not text.startswith(_REFUSED)
    return {**block, "content": error_result(text) if is_failed else text}


def _result_text(content: Any) -> str:
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, Mapping))
        return "\n".join(str(part.get("text") or f"[{part.get('type')}]") for part in parts)
    return str(content or "")


def _usage(messages: Sequence[_Record]) -> Usage:
    """Return the tokens of all answers: one in several records bears the same count in each."""
    by_id: dict[str, Usage] = {}
    for number, message in enumerate(messages):
        counts = message.get("usage")
        if isinstance(counts, Mapping):
            found = Usage(
                prompt_tokens=sum(read_count(counts.get(name)) for name in _INPUT_TOKENS),
                completion_tokens=read_count(counts.get("output_tokens")),
            )
            key = str(message.get("id") or number)
            by_id[key] = max(by_id.get(key, found), found, key=lambda usage: usage.completion_tokens)
    return sum(by_id.values(), Usage())


def _last_error(records: Sequence[_Record]) -> str:
    """Return the error of the model's provider that the session ended with; empty if it went on."""
    last = records[-1] if records else {}
    message = last.get("message")
    if not last.get("isApiErrorMessage") or not isinstance(message, Mapping):
        return ""
    return _result_text(message.get("content")) or "the model's provider failed"
