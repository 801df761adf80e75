"""Making spans, sending them to a real Phoenix, and waiting until they can be read back."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Span = dict[str, Any]

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_span(
    *,
    name: str = "ChatCompletion",
    kind: str = "LLM",
    trace_id: str | None = None,
    span_id: str | None = None,
    parent_id: str | None = None,
    start: datetime = START,
    duration_s: float = 1.0,
    status: str = "OK",
    status_message: str = "",
    attributes: Mapping[str, Any] | None = None,
    events: Sequence[Mapping[str, Any]] = (),
) -> Span:
    """A span in the shape in which Phoenix's REST interface takes and returns it."""
    return {
        "name": name,
        "context": {
            "trace_id": trace_id or secrets.token_hex(16),
            "span_id": span_id or secrets.token_hex(8),
        },
        "span_kind": kind,
        "parent_id": parent_id,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=duration_s)).isoformat(),
        "status_code": status,
        "status_message": status_message,
        "attributes": dict(attributes or {}),
        "events": [dict(event) for event in events],
    }


def llm_span(
    messages: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any] | str,
    *,
    model: str = "gpt-4o",
    **span: Any,
) -> Span:
    """An LLM span as OpenInference's openai instrumentor writes it, from OpenAI chat messages."""
    answer = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
    attributes = {
        "llm.model_name": model,
        "llm.provider": "openai",
        "input.mime_type": "application/json",
        "input.value": json.dumps({"messages": list(messages), "model": model}),
        "output.mime_type": "application/json",
        "output.value": json.dumps({"choices": [{"message": dict(answer)}]}),
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 10,
        "llm.token_count.total": 110,
    }
    for number, message in enumerate(messages):
        attributes |= _flat(f"llm.input_messages.{number}.message", message)
    attributes |= _flat("llm.output_messages.0.message", answer)
    return make_span(**span, attributes=attributes)


def lesson_span(word: str, **span: Any) -> Span:
    """An LLM span from which the scripted tips model learns exactly one tip: ``Remember <word>.``"""
    return llm_span([{"role": "user", "content": f"What is LESSON-{word} about?"}], f"About {word}.", **span)


def post_spans(phoenix_url: str, project: str, spans: Iterable[Span]) -> None:
    """Send spans to a project, which is created when it does not exist; they are visible later."""
    with httpx.Client(base_url=phoenix_url, trust_env=False, timeout=30) as client:
        known = client.get("/v1/projects", params={"limit": 1000}).raise_for_status().json()["data"]
        ids = {one["name"]: one["id"] for one in known}
        if project not in ids:
            ids[project] = (
                client.post("/v1/projects", json={"name": project}).raise_for_status().json()["data"]["id"]
            )
        client.post(f"/v1/projects/{ids[project]}/spans", json={"data": list(spans)}).raise_for_status()


def read_spans(phoenix_url: str, project: str) -> list[Span]:
    """All spans of a project as Phoenix returns them, oldest first; none when there is no such project."""
    with httpx.Client(base_url=phoenix_url, trust_env=False, timeout=30) as client:
        known = client.get("/v1/projects", params={"limit": 1000}).raise_for_status().json()["data"]
        project_id = next((one["id"] for one in known if one["name"] == project), None)
        spans: list[Span] = []
        query = {"limit": 200, "sort": "start_time", "order": "asc"}
        while project_id:
            page = client.get(f"/v1/projects/{project_id}/spans", params=query).raise_for_status().json()
            spans += page["data"]
            if not page["next_cursor"]:
                break
            query["cursor"] = page["next_cursor"]
        return spans


def wait_for_spans(phoenix_url: str, project: str, count: int, *, timeout_s: float = 30.0) -> list[Span]:
    """Wait until a project has at least this many spans, and return them all."""

    def enough() -> list[Span]:
        spans = read_spans(phoenix_url, project)
        return spans if len(spans) >= count else []

    return wait_until(enough, what=f"{count} spans in project {project}", timeout_s=timeout_s)


def send_spans(phoenix_url: str, project: str, spans: Sequence[Span]) -> None:
    """Send spans and wait until they can be read back."""
    before = len(read_spans(phoenix_url, project))
    post_spans(phoenix_url, project, spans)
    wait_for_spans(phoenix_url, project, before + len(spans))


def delete_trace(phoenix_url: str, trace_id: str) -> None:
    httpx.delete(f"{phoenix_url}/v1/traces/{trace_id}", trust_env=False, timeout=30).raise_for_status()


def trace_ids(spans: Iterable[Span]) -> set[str]:
    return {span["context"]["trace_id"] for span in spans}


def _flat(prefix: str, message: Mapping[str, Any]) -> dict[str, Any]:
    flat = {
        f"{prefix}.{key}": message[key] for key in ("role", "content", "tool_call_id") if message.get(key)
    }
    for number, call in enumerate(message.get("tool_calls") or ()):
        base = f"{prefix}.tool_calls.{number}.tool_call"
        flat[f"{base}.id"] = call["id"]
        flat[f"{base}.function.name"] = call["function"]["name"]
        flat[f"{base}.function.arguments"] = call["function"]["arguments"]
    return flat
