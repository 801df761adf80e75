"""Building the trajectory of a trace: its main conversation, side conversations, errors and outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from kaizen.sync.errors import UnknownShapeError
from kaizen.sync.model import Conversation, Message, Span, Trace, Trajectory, Usage
from kaizen.sync.trajectory.attributes import model_name, tool_schemas
from kaizen.sync.trajectory.calls import ModelCall, model_calls
from kaizen.sync.trajectory.chat import is_empty_answer, messages_of_json
from kaizen.sync.trajectory.errors import error_text, other_errors
from kaizen.sync.trajectory.json_text import as_text, load_json
from kaizen.sync.trajectory.recalled import has_unrecorded_tips, read_exposures, without_recalled
from kaizen.sync.trajectory.span_outcome import span_outcome
from kaizen.sync.trajectory.threads import Thread, build_threads, main_thread
from kaizen.sync.trajectory.tool_definitions import read_definitions
from kaizen.sync.trajectory.tools import ToolSpans, with_tool_results

NO_LLM_SPAN = "no LLM span"

_CODE_CALL = re.compile(r"<code>|```|\bfinal_answer\(")
# What AutoGen's runs and responses, and states of graphs, hold their messages in.
_STATE = ("messages", "chat_message", "inner_messages")


def build_trajectory(trace: Trace) -> Trajectory:
    """Turn the spans of one trace into its trajectory.

    Raises `UnknownShapeError` where the trace has no LLM span, none whose messages are understood, or calls
    that were lost; the message then names the attributes seen.
    """
    try:
        built = _build(without_recalled(trace))
        return replace(built, has_unrecorded_tips=True) if has_unrecorded_tips(trace) else built
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
        calls=(call for thread in threads for m in thread.messages for call in m.tool_calls),
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
        errors=(*other_errors(trace, known), *_lost_answers(calls)),
        tools=_distinct_tools(s for call in calls for layer in call.layers for s in tool_schemas(layer)),
        outcome=span_outcome(trace, calls),
        usage=sum((call.usage for call in calls), Usage()),
        session_id=session_id(trace),
        models=_distinct(filter(None, (model_name(call.span) for call in calls))),
        response_ids=_distinct(filter(None, (call.response_id for call in calls))),
        previous_response_id=_previous_response_id(calls),
        exposures=read_exposures(trace),
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _distinct_tools(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the definitions without those that only spell the same tools in another way."""
    seen: set[object] = set()
    distinct = []
    for text in dict.fromkeys(texts):
        tools: list[object] = [(tool.name, tool.version) for tool in read_definitions(text)] or [text]
        if not seen.issuperset(tools):
            distinct.append(text)
            seen.update(tools)
    return tuple(distinct)


def _lost_answers(calls: Sequence[ModelCall]) -> list[str]:
    lost = sum(call.dropped > 0 for call in calls)
    return [f"the output of {lost} model calls was no answer, and is left out"] if lost else []


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

    It is the agent's answer, or what the other side of a conversation said last.
    """
    for span in trace.spans:
        word = span.attributes.get("output.value")
        if span.parent_id is not None or span.kind not in ("AGENT", "CHAIN") or not isinstance(word, str):
            continue
        # Further back the same words were another answer.
        recent = "\n".join(m.content + "".join(c.arguments for c in m.tool_calls) for m in main.messages[-3:])
        if word.strip() and word.strip() not in recent and not _is_state(word):
            role = "user" if _is_other_side(span, main.messages) else "assistant"
            main.messages.append(Message(role=role, content=word, span_id=span.span_id))


def _is_other_side(root: Span, messages: Sequence[Message]) -> bool:
    """Return whether it is the other side that speaks after the assistant has answered.

    That is so where the root was given what the assistant said first, or where both sides took turns.
    """
    spoken = [message for message in messages if message.role != "system"]
    if not spoken or not _is_reply(spoken[-1]):
        return False
    given = root.attributes.get("input.value")
    if isinstance(given, str) and _is_reply(spoken[0]) and spoken[0].content.strip() == given.strip():
        return True
    return any(
        _is_reply(message) and following.role == "user" and not following.content.startswith("Observation")
        for message, following in pairwise(spoken)
    )


def _is_reply(message: Message) -> bool:
    """Return whether a message is what an assistant says to people, and not code or a call."""
    return message.role == "assistant" and not message.tool_calls and not _CODE_CALL.search(message.content)


def _is_state(output: str) -> bool:
    """Return whether an output is the state of a run, as graphs and teams of agents leave it."""
    if "{" not in output:
        return False
    try:
        value = load_json(output)
    except ValueError:
        return False
    if isinstance(value, Mapping) and any(isinstance(value.get(key), Mapping | list) for key in _STATE):
        return True
    items = value if isinstance(value, list) else [value]
    return bool(messages_of_json(value)) or any(
        isinstance(item, Mapping) and {"source", "content", "type"} <= item.keys() for item in items
    )


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
