"""The errors of spans, and those that no message of a conversation holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trajectory.json_text import as_text, load_literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.sync.model import Span, Trace

_FEWEST_CHARS = 6  # shorter ones, such as `404`, are part of many others


def other_errors(trace: Trace, texts: Sequence[str]) -> Iterator[str]:
    """Yield the errors of spans that no text holds, each once.

    A span repeats the error of a span in it, behind a class name or in words of its own.
    """
    failed = {s.span_id: core for s in trace.spans if s.status == "ERROR" and (core := _core(s))}
    if not failed:
        return
    known = "\n".join(texts)
    # A message may hold the error as it is escaped in JSON.
    known += known.replace('\\"', '"').replace("\\n", "\n") if "\\" in known else ""
    inner = _inner_errors(trace, failed)
    lines: dict[str, str] = {}
    for span in trace.spans:
        core = failed.get(span.span_id, "")
        error = error_text(span)
        if core and core not in known and not any(other in error for other in inner.get(span.span_id, ())):
            lines.setdefault(core, f"{span.kind} {span.name}: {error}")
    for core, line in lines.items():
        if not any(core in other for other in lines if other != core):
            yield line


def _core(span: Span) -> str:
    """Return an error without the class names and wrappers before it."""
    error = error_text(span)
    return unwrapped(error).rpartition("Error: ")[2].strip() or error


def _inner_errors(trace: Trace, failed: dict[str, str]) -> dict[str, set[str]]:
    """Return for each span the errors of the spans below it that failed."""
    parents = {span.span_id: span.parent_id for span in trace.spans}
    inner: dict[str, set[str]] = {}
    for span_id, core in failed.items():
        seen = {span_id}
        above = parents.get(span_id)
        while above in parents and above not in seen:
            if len(core) >= _FEWEST_CHARS:
                inner.setdefault(above, set()).add(core)
            seen.add(above)
            above = parents[above]
    return inner


def error_text(span: Span) -> str:
    """Return the error of a span: its status message, else its first exception."""
    if span.status_message:
        return span.status_message
    for event in span.events:
        if event.name == "exception":
            kind = as_text(event.attributes.get("exception.type"))
            return f"{kind}: {as_text(event.attributes.get('exception.message'))}".strip(": ")
    return ""


def unwrapped(error: str) -> str:
    """Return the error that openai-agents puts into a dict, as in `Error running tool: {'error': '...'}`."""
    _, brace, rest = error.partition(": {")
    try:
        value = load_literal("{" + rest) if brace else None
    except ValueError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) and inner else error
