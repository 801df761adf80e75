"""Reads the answer out of a response body: its JSON, or the chunks of its event stream."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import wrapt

from kaizen.auto.pipeline.fitting import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE = b"[DONE]"
# The events of a streamed response after which no other one comes.
LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")


class Chunk:
    """Stand in for a chunk of the SDK, with what an instrumentor's accumulator reads of it."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def model_dump(self, **_: object) -> dict[str, Any]:
        return self._values

    def model_dump_json(self, **_: object) -> str:
        return json.dumps(self._values)


class Answer(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wrap an answer of the SDK for the instrumentor, so that it can always be dumped as JSON.

    pydantic refuses half characters, and the instrumentor logs a traceback then.
    """

    def model_dump_json(self, **options: Any) -> str:
        try:
            return str(self.__wrapped__.model_dump_json(**options))
        except ValueError:
            values = self.__wrapped__.model_dump(**options)
            return replace_surrogates(json.dumps(values, ensure_ascii=False, default=str))


def parse_events(content: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the JSON objects of an event stream, and whether its end was among what was read."""
    events: list[dict[str, Any]] = []
    for line in content.splitlines():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data.startswith(DONE):
            return events, True
        # The caller may have stopped amid a line.
        with suppress(ValueError):
            event = json.loads(data)
            if isinstance(event, dict):
                events.append(event)
    return events, bool(events) and events[-1].get("type") in LAST_EVENTS


def merge_chunks(events: list[dict[str, Any]]) -> Iterator[Chunk]:
    """Yield the chunks of a streamed completion, with consecutive ones that are only text joined.

    The caller waits while the instrumentor accumulates them: 10 ms for a thousand, 1 ms when they are joined.
    """
    before: dict[str, Any] | None = None
    for event in events:
        if before is not None and _append_text(before, event):
            continue
        if before is not None:
            yield Chunk(before)
        before = event
    if before is not None:
        yield Chunk(before)


def _append_text(event: dict[str, Any], following: dict[str, Any]) -> bool:
    """Append the text of the following chunk if it has nothing else and this one has text."""
    first, second = _only_choice(event), _only_choice(following)
    if first is None or second is None or second.get("finish_reason") or following.get("usage"):
        return False
    if first.get("index") != second.get("index") or second.get("logprobs"):
        return False
    delta, more = first.get("delta"), second.get("delta")
    if not isinstance(delta, dict) or not isinstance(more, dict):
        return False
    text = more.get("content")
    if not isinstance(text, str) or not isinstance(delta.get("content"), str):
        return False
    if any(value for name, value in more.items() if name not in ("content", "role")):
        return False
    delta["content"] += text
    return True


def _only_choice(event: dict[str, Any]) -> dict[str, Any] | None:
    choices = event.get("choices")
    only = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    return only if isinstance(only, dict) else None


def response_of(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the response that the events of the Responses API add up to, with the text so far."""
    whole = next((event["response"] for event in reversed(events) if "response" in event), None)
    if not isinstance(whole, dict) or whole.get("output"):
        return whole if isinstance(whole, dict) else None
    items = [event["item"] for event in events if event.get("type") == "response.output_item.done"]
    texts = [event.get("delta") for event in events if event.get("type") == "response.output_text.delta"]
    text = "".join(text for text in texts if isinstance(text, str))
    if text and not any(isinstance(item, dict) and item.get("type") == "message" for item in items):
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"id": "", "type": "message", "role": "assistant", "status": "incomplete"}
        items.append({**message, "content": [part]})
    return {**whole, "output": items} if items else None
