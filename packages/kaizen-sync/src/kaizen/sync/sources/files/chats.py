"""Chats as JSON of OpenAI's messages: one conversation a line, or a file of messages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Usage
from kaizen.sync.sources.conversations import Transcript, spans_of
from kaizen.sync.trajectory.chat import messages_of_json

if TYPE_CHECKING:
    from kaizen.sync.model import Span
    from kaizen.sync.sources.files.following import Place

_IDS = ("id", "conversation_id", "session_id", "trace_id", "thread_id")
_TIMES = ("start_time", "created_at", "created", "create_time", "timestamp", "time", "date")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_END = 1e11  # as seconds that is the year 5138; what is more are milliseconds


def is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and not is_chat(value)


def is_chat(value: Any) -> bool:
    """Return whether a value is a conversation: a list of messages, or an object with one."""
    messages = value.get("messages") if isinstance(value, Mapping) else value
    return isinstance(messages, list) and bool(messages) and all(map(_is_message, messages))


def read_chat(value: Any, place: Place, *, name: str = "") -> list[Span]:
    """Return the span of a conversation. `name` tells a file of messages, which grows, from all others.

    A conversation without an id is told by what it says, and one without a time by when its file was seen.
    """
    about: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    given: Sequence[Any] = about["messages"] if about else value
    stamps = [stamp for one in (*given, about) if (stamp := _time_of(one))]
    text = json.dumps(given, sort_keys=True, ensure_ascii=False, default=str)
    end = max(stamps, default=place.changed if name else place.first_seen)
    own_id = next((about[key] for key in _IDS if isinstance(about.get(key), str | int)), None)
    transcript = Transcript(
        messages=messages_of_json(list(given)),
        start_time=min(stamps, default=min(place.first_seen, end)),
        end_time=end,
        model=str(about.get("model") or ""),
        usage=_usage(about.get("usage")),
        error=str(about.get("error") or ""),
    )
    trace_id = _digest(name or (f"id:{own_id}" if own_id is not None else text))
    [span] = spans_of(trace_id, transcript)
    # The same conversation with other words is another version of the trace.
    return [replace(span, span_id=_digest(f"{trace_id} {text}")[:16])]


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "type" in value)


def _usage(value: Any) -> Usage:
    given = value if isinstance(value, Mapping) else {}
    counts = [given.get("prompt_tokens"), given.get("completion_tokens")]
    prompt, completion = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _time_of(value: Any) -> datetime | None:
    """Return the time that a message or a conversation has, as text or as a number since 1970."""
    given = (
        next((value[key] for key in _TIMES if value.get(key)), None) if isinstance(value, Mapping) else None
    )
    try:
        if isinstance(given, str):
            parsed = datetime.fromisoformat(given)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(given, int | float) and not isinstance(given, bool):
            return _EPOCH + timedelta(seconds=given if given < _SECONDS_END else given / 1000)
    except (ValueError, OverflowError):
        return None
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
