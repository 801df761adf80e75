"""LangChain's messages in `input.value` and `output.value`, as its serialiser writes them (`"lc": 1`).

OpenInference's flat keys lose the calls of some of LangChain's models, and re-serialise the arguments of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kaizen.sync.trajectory.chat import make_message, read_calls, with_span
from kaizen.sync.trajectory.dialects.dialect import SpanContent
from kaizen.sync.trajectory.json_text import as_text, json_or_none
from kaizen.sync.trajectory.parts import read_parts

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Span

_MARK = '"lc": 1'


def recognises(span: Span) -> bool:
    values = (span.attributes.get("input.value"), span.attributes.get("output.value"))
    # It stands near the beginning; values may be megabytes.
    return any(isinstance(value, str) and _MARK in value[:200_000] for value in values)


def read(span: Span) -> SpanContent:
    request = json_or_none(span.attributes.get("input.value"))
    batches = request.get("messages") if isinstance(request, Mapping) else None
    batch = batches[0] if isinstance(batches, list) and batches and isinstance(batches[0], list) else []
    given = [_message(one) for one in batch]
    return SpanContent(
        # A message that cannot be read must not leave a gap.
        given=[] if None in given else with_span(span, [one for one in given if one]),
        answer=with_span(span, _answer(json_or_none(span.attributes.get("output.value")))),
    )


def _answer(response: Any) -> list[Message]:
    try:
        message = _message(response["generations"][0][0]["message"])
    except (KeyError, IndexError, TypeError):
        return []
    return [message] if message else []


def _message(value: Any) -> Message | None:
    fields = value.get("kwargs") if isinstance(value, Mapping) else None
    if not isinstance(fields, Mapping) or not isinstance(fields.get("type"), str):
        return None
    return make_message(
        role=fields["type"],
        content=read_parts(fields.get("content")).text,
        tool_calls=read_calls(fields.get("tool_calls"), arguments_key="args"),
        tool_call_id=as_text(fields.get("tool_call_id")),
        name=as_text(fields.get("name")) if fields["type"] == "tool" else "",
    )
