"""A conversation as a span: what sources of transcripts make of one, in OpenInference's names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Span, Usage
from kaizen.sync.trajectory.chat import merge_assistants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.model import Message

_ERROR = re.compile(r"\W*(?:[\w.]*(?:error|exception)\b|exit code|fatal|traceback|failed)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One conversation with a model, whole: of an agent, or of a sub-agent that an agent started.

    `error` says that it ended in one.
    """

    messages: Sequence[Message]
    start_time: datetime
    end_time: datetime
    name: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    error: str = ""


def spans_of(trace_id: str, transcript: Transcript, *, agent: str = "") -> list[Span]:
    """Return the span of a conversation, a model call that was given all of it.

    `agent` names a sub-agent. Its span stands beside that of the conversation that started it: a model call
    below another one would be the same call.
    """
    return [_span(trace_id, _digest(f"{trace_id} {agent}"), transcript)]


def read_time(value: Any) -> datetime | None:
    """Return a time in ISO 8601; None if it is none."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=parsed.tzinfo or UTC) if parsed else None


def read_count(value: Any) -> int:
    """Return a count; 0 if it is none."""
    return value if isinstance(value, int) and value > 0 else 0


def error_result(text: str) -> str:
    """Return the result of a call that failed, so that it says so."""
    return text if _ERROR.match(text) else f"Error: {text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _span(trace_id: str, span_id: str, transcript: Transcript) -> Span:
    messages = merge_assistants(transcript.messages)
    answer = messages.pop() if messages and messages[-1].role == "assistant" else None
    attributes: dict[str, Any] = {
        "llm.model_name": transcript.model,
        "llm.token_count.prompt": transcript.usage.prompt_tokens,
        "llm.token_count.completion": transcript.usage.completion_tokens,
    }
    for number, message in enumerate(messages):
        attributes |= _flat(f"llm.input_messages.{number}.message", message)
    if answer is not None:
        attributes |= _flat("llm.output_messages.0.message", answer)
    return Span(
        span_id=span_id,
        trace_id=trace_id,
        parent_id=None,
        name=transcript.name or "conversation",
        kind="LLM",
        status="ERROR" if transcript.error else "OK",
        status_message=transcript.error,
        start_time=transcript.start_time,
        end_time=max(transcript.start_time, transcript.end_time),
        attributes={name: value for name, value in attributes.items() if value},
    )


def _flat(prefix: str, message: Message) -> dict[str, Any]:
    flat: dict[str, Any] = {
        f"{prefix}.role": message.role,
        f"{prefix}.content": message.content,
        f"{prefix}.tool_call_id": message.tool_call_id,
        f"{prefix}.name": message.name,
    }
    for number, call in enumerate(message.tool_calls):
        base = f"{prefix}.tool_calls.{number}.tool_call"
        flat |= {
            f"{base}.id": call.id,
            f"{base}.function.name": call.name,
            f"{base}.function.arguments": call.arguments,
        }
    return flat
