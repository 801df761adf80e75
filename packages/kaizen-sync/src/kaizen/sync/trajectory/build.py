"""Building the trajectory of a trace: its main conversation, side conversations, errors and outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kaizen.sync.errors import UnknownShapeError
from kaizen.sync.model import Conversation, Message, Span, Trace, Trajectory, Usage
from kaizen.sync.trajectory.attributes import model_name, tool_schemas
from kaizen.sync.trajectory.calls import ModelCall, model_calls
from kaizen.sync.trajectory.chat import is_empty_answer, messages_of_json
from kaizen.sync.trajectory.json_text import as_text, load_json
from kaizen.sync.trajectory.span_outcome import span_outcome
from kaizen.sync.trajectory.threads import Thread, build_threads, main_thread
from kaizen.sync.trajectory.tools import ToolSpans, error_text, unwrapped, with_tool_results

NO_LLM_SPAN = "no LLM span"


def build_trajectory(trace: Trace) -> Trajectory:
    """Turn the spans of one trace into its trajectory.

    Raises `UnknownShapeError` where the trace has no LLM span, none whose messages are understood, or calls
    that were lost; the message then names the attributes seen.
    """
    try:
        return _build(trace)
    except RecursionError as error:
        raise UnknownShapeError("unknown shape: values nested too deeply") from error


def _build(trace: Trace) -> Trajectory:
    calls = model_calls(trace)
    if not calls:
        raise UnknownShapeError(_no_calls(trace))
    threads = build_threads(trace, calls)
    if not threads:
        raise UnknownShapeError(_no_messages(calls))
    tools = ToolSpans(
        trace,
        model_spans=(layer.span_id for call in calls for layer in call.layers),
        call_ids=(c.id for thread in threads for m in thread.messages for c in m.tool_calls),
    )
    for thread in threads:
        thread.messages = with_tool_results(thread.messages, tools)
        if any(map(is_empty_answer, thread.messages)):
            raise UnknownShapeError(f"tool calls are missing: {_names(call.span for call in calls)}")
    main = main_thread(threads)
    _append_last_word(trace, main)
    messages = tuple(main.messages)
    sides = tuple(
        Conversation(name=thread.name, messages=tuple(thread.messages))
        for thread in threads
        if thread is not main
    )
    known = [message.content for message in messages + tuple(m for s in sides for m in s.messages)]
    return Trajectory(
        trace_id=trace.trace_id,
        messages=messages,
        side_conversations=sides,
        errors=tuple(_other_errors(trace, known)),
        tools=_distinct(schema for call in calls for layer in call.layers for schema in tool_schemas(layer)),
        outcome=span_outcome(trace, calls),
        usage=sum((call.usage for call in calls), Usage()),
        session_id=session_id(trace),
        models=_distinct(filter(None, (model_name(call.span) for call in calls))),
        response_ids=_distinct(filter(None, (call.response_id for call in calls))),
        previous_response_id=_previous_response_id(calls),
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def session_id(trace: Trace) -> str:
    """Return the session id of a trace; empty if it has none."""
    names = ("session.id", "gen_ai.conversation.id")
    found = (as_text(span.attributes.get(name)) for name in names for span in trace.spans)
    return next(filter(None, found), "")


def _previous_response_id(calls: Sequence[ModelCall]) -> str:
    """Return the id of the response of another trace that this one continues."""
    own = {call.response_id for call in calls}
    followed = (call.previous_response_id for call in calls)
    return next((one for one in followed if one and one not in own), "")


def _append_last_word(trace: Trace, main: Thread) -> None:
    """Add the output of the root where no message has it, as in a run that ends outside a model call.

    It is the agent's answer, unless the root was given what the assistant said first: then it is the other
    side of the conversation, and its output is what the user said last.
    """
    for span in trace.spans:
        word = span.attributes.get("output.value")
        if span.parent_id is not None or span.kind not in ("AGENT", "CHAIN") or not isinstance(word, str):
            continue
        recent = "\n".join(m.content + "".join(c.arguments for c in m.tool_calls) for m in main.messages[-3:])
        if word.strip() and word.strip() not in recent and not _is_conversation(word):
            role = "user" if _is_other_side(span, main.messages) else "assistant"
            main.messages.append(Message(role=role, content=word, span_id=span.span_id))


def _is_other_side(root: Span, messages: Sequence[Message]) -> bool:
    opening = next((message for message in messages if message.role != "system"), None)
    given = root.attributes.get("input.value")
    return (
        isinstance(given, str)
        and opening is not None
        and opening.role == messages[-1].role == "assistant"
        and opening.content.strip() == given.strip()
    )


def _is_conversation(output: str) -> bool:
    """Return whether an output holds the messages of a run, as graphs give their state, and not an answer."""
    if "{" not in output:
        return False
    try:
        return bool(messages_of_json(load_json(output)))
    except ValueError:
        return False


def _other_errors(trace: Trace, known: Sequence[str]) -> Iterable[str]:
    """Yield the errors of spans that no message holds, each once."""
    failed: Mapping[str, str] = {
        span.span_id: error for span in trace.spans if span.status == "ERROR" and (error := error_text(span))
    }
    if not failed:
        return
    known_text = "\n".join(known)
    lines: dict[str, str] = {}
    for span in trace.spans:
        error = failed.get(span.span_id, "")
        # A step repeats the error of the tool in it behind a class name of its own.
        core = unwrapped(error).rpartition("Error: ")[2].strip() or error
        if core and core not in known_text:
            lines.setdefault(core, f"{span.kind} {span.name}: {error}")
    everything = "\n".join(lines)
    for core, line in lines.items():
        # Once by itself; more than once where another error contains it.
        if everything.count(core) == 1 or not any(core in other for other in lines if other != core):
            yield line


def _no_calls(trace: Trace) -> str:
    names = _names(trace.spans)
    return f"{NO_LLM_SPAN}: {names}" if names else NO_LLM_SPAN


def _no_messages(calls: Sequence[ModelCall]) -> str:
    failed = [call.span for call in calls if call.span.status == "ERROR"]
    if len(failed) == len(calls):
        return f"no messages, only failed model calls: {error_text(failed[0]) or 'no error text'}"
    return f"unknown shape: {_names(call.span for call in calls) or 'no attributes'}"


def _names(spans: Iterable[Span]) -> str:
    names = sorted({name for span in spans for name in span.attributes})
    shown = ", ".join(names[:20])
    return f"{shown}, and {len(names) - 20} more" if len(names) > 20 else shown
