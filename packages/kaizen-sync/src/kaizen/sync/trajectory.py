"""The trajectory of a trace: which spans are model calls, how they follow each other, how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kaizen.sync.errors import UnknownShapeError
from kaizen.sync.messages import canonical_arguments, input_messages, output_messages, tool_schemas
from kaizen.sync.model import Conversation, Message, Outcome, Span, ToolCall, Trace, Trajectory, Usage

NO_LLM_SPAN = "no LLM span"


def build_trajectory(trace: Trace) -> Trajectory:
    """Turn the spans of one trace into its trajectory.

    Raises `UnknownShapeError` where the trace has no LLM span, or none whose messages are understood; the
    message then names the attributes seen.
    """
    calls = _model_calls(trace)
    if not calls:
        raise UnknownShapeError(NO_LLM_SPAN)
    threads = _threads(trace, calls)
    if not threads:
        raise UnknownShapeError(f"unknown shape: {_attribute_names(calls)}")
    tools = [span for span in trace.spans if span.kind == "TOOL"]
    for thread in threads:
        thread.messages = _with_tool_results(thread.messages, tools)
    main = max(threads, key=lambda thread: len(thread.messages))
    _append_final_answer(trace, main)
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
        errors=tuple(_untold_errors(trace, known)),
        tools=tuple(dict.fromkeys(schema for call in calls for schema in tool_schemas(call.span))),
        outcome=_outcome(trace, calls),
        usage=sum((call.usage for call in calls), Usage()),
        session_id=next(filter(None, (str(s.attributes.get("session.id") or "") for s in trace.spans)), ""),
        models=tuple(
            dict.fromkeys(
                str(call.span.attributes["llm.model_name"])
                for call in calls
                if call.span.attributes.get("llm.model_name")
            )
        ),
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """One logical model call: a span, and those nested in it because several layers trace the same call."""

    span: Span
    given: list[Message]
    answer: Message | None
    usage: Usage


def _model_calls(trace: Trace) -> list[_Call]:
    llm = {span.span_id: span for span in trace.spans if span.kind == "LLM"}
    nests: dict[str, list[Span]] = {}
    for span in llm.values():
        top, seen = span, {span.span_id}
        while top.parent_id in llm and top.parent_id not in seen:
            top = llm[top.parent_id]
            seen.add(top.span_id)
        nests.setdefault(top.span_id, []).append(span)
    calls = [_call(llm[top_id], nest) for top_id, nest in nests.items()]
    return sorted(calls, key=lambda call: (call.span.start_time, call.span.span_id))


def _call(top: Span, nest: list[Span]) -> _Call:
    layers = [top, *(span for span in nest if span is not top)]
    given = next(filter(None, map(input_messages, layers)), [])
    answers = next(filter(None, map(output_messages, layers)), [])
    usages = [_usage(span) for span in layers]
    return _Call(
        span=top,
        given=given,
        answer=answers[0] if answers else None,
        usage=max(usages, key=lambda usage: usage.prompt_tokens + usage.completion_tokens),
    )


def _usage(span: Span) -> Usage:
    def count(name: str) -> int:
        value = span.attributes.get(f"llm.token_count.{name}")
        return int(value) if isinstance(value, int | float) else 0

    return Usage(prompt_tokens=count("prompt"), completion_tokens=count("completion"))


@dataclass(slots=True)
class _Thread:
    """One conversation while it grows: all its messages, and what its newest call was given."""

    name: str
    messages: list[Message]
    given: list[Message] = field(default_factory=list)
    system: tuple[str, ...] = ()
    answer: Message | None = None

    def continues_with(self, given: Sequence[Message]) -> bool:
        """Whether a call given these messages is the next one of this conversation.

        The same messages once more are a retry if there was no answer, otherwise a call of its own.
        """
        if not self.given or _keys(given[: len(self.given)]) != _keys(self.given):
            return False
        return len(given) > len(self.given) or self.answer is None

    def awaits(self, given: Sequence[Message]) -> bool:
        """Whether these are only results of the tools that this conversation called last."""
        called = {call.id for call in self.answer.tool_calls} if self.answer else set()
        return bool(given) and all(m.role == "tool" and m.tool_call_id in called for m in given)


def _threads(trace: Trace, calls: Iterable[_Call]) -> list[_Thread]:
    parents = {span.span_id: span for span in trace.spans}
    threads: list[_Thread] = []
    for call in calls:
        if not call.given and call.answer is None:
            continue
        system = tuple(m.content for m in call.given if m.role == "system")
        given = [message for message in call.given if message.role != "system"]
        thread = _thread_for(threads, given)
        if thread is None:
            thread = _Thread(name=_agent_name(call.span, parents), messages=list(call.given), system=system)
            threads.append(thread)
        else:
            new = given if thread.awaits(given) else given[len(thread.given) :]
            changed = [m for m in call.given if m.role == "system"] if system != thread.system else []
            thread.system = system
            _extend(thread, new, changed)
        thread.given = given
        thread.answer = call.answer
        if call.answer is not None:
            thread.messages.append(call.answer)
    return threads


def _thread_for(threads: list[_Thread], given: list[Message]) -> _Thread | None:
    continued = [thread for thread in threads if thread.continues_with(given)]
    if continued:
        return max(continued, key=lambda thread: len(thread.given))
    return next((thread for thread in reversed(threads) if thread.awaits(given)), None)


def _extend(thread: _Thread, new: list[Message], system: list[Message]) -> None:
    """Add what is new to a conversation; its own last answer comes back as the first of it.

    A changed system message (another agent took over) comes after the results of the tools called before.
    """
    if new and new[0].role == "assistant" and thread.answer is not None:
        echo, new = new[0], new[1:]
        if echo.tool_calls and not thread.answer.tool_calls:
            thread.messages[-1] = replace(thread.messages[-1], tool_calls=echo.tool_calls)
    rest = next((i for i, message in enumerate(new) if message.role != "tool"), len(new))
    thread.messages += [*new[:rest], *system, *new[rest:]]


def _keys(messages: Sequence[Message]) -> list[tuple[object, ...]]:
    return [
        (m.role, m.content.strip(), *((c.name, canonical_arguments(c.arguments)) for c in m.tool_calls))
        for m in messages
    ]


def _agent_name(span: Span, spans: dict[str, Span]) -> str:
    seen: set[str] = set()
    current: Span | None = span
    while current is not None and current.span_id not in seen:
        seen.add(current.span_id)
        if current.kind == "AGENT":
            return str(current.attributes.get("agent.name") or current.name)
        current = spans.get(current.parent_id or "")
    return ""


def _with_tool_results(messages: Sequence[Message], tools: Sequence[Span]) -> list[Message]:
    """Pair every tool call with its result: by id, else by order; TOOL spans fill in what is missing."""
    complete: list[Message] = []
    waiting: list[ToolCall] = []
    unused = list(tools)

    def settle() -> None:
        for call in waiting:
            span = _take_span(unused, call)
            if span is not None and (text := _span_result(span)):
                complete.append(
                    Message(role="tool", content=text, tool_call_id=call.id, span_id=span.span_id)
                )
        waiting.clear()

    for message in messages:
        if message.role != "tool":
            settle()
            waiting += message.tool_calls
            complete.append(message)
            continue
        answered = _answered(waiting, message)
        if answered is not None:
            waiting.remove(answered)
            span = _take_span(unused, answered)
            content = _with_span_error(message.content, span)
            message = replace(message, content=content, tool_call_id=message.tool_call_id or answered.id)
        complete.append(message)
    settle()
    return complete


def _answered(waiting: Sequence[ToolCall], result: Message) -> ToolCall | None:
    if result.tool_call_id:
        return next((call for call in waiting if call.id == result.tool_call_id), None)
    named = (call for call in waiting if result.name and call.name == result.name)
    return next(named, waiting[0] if waiting else None)


def _take_span(unused: list[Span], call: ToolCall) -> Span | None:
    """The first unused TOOL span of that tool, one with the same arguments before any other."""
    named = [span for span in unused if (span.attributes.get("tool.name") or span.name) == call.name]
    same = [span for span in named if _span_arguments(span) == canonical_arguments(call.arguments)]
    for span in same or named:
        unused.remove(span)
        return span
    return None


def _span_arguments(span: Span) -> str:
    value = span.attributes.get("input.value")
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        parsed = json.loads(text)
    except ValueError:
        return text.strip()
    if isinstance(parsed, dict) and "kwargs" in parsed and "args" in parsed:
        parsed = parsed["kwargs"]
    return canonical_arguments(json.dumps(parsed))


def _span_result(span: Span) -> str:
    output = span.attributes.get("output.value")
    text = output if isinstance(output, str) else json.dumps(output) if output is not None else ""
    return _with_span_error(text, span)


def _with_span_error(text: str, span: Span | None) -> str:
    """Some frameworks show the model less than the span tells, such as 'An error occurred'."""
    error = _error_text(span) if span is not None and span.status == "ERROR" else ""
    if not error or error in text:
        return text
    return f"{text}\n[error: {error}]" if text else f"[error: {error}]"


def _error_text(span: Span) -> str:
    if span.status_message:
        return span.status_message
    for event in span.events:
        if event.name == "exception":
            attributes: dict[str, Any] = dict(event.attributes)
            kind, text = attributes.get("exception.type", ""), attributes.get("exception.message", "")
            return f"{kind}: {text}".strip(": ")
    return ""


def _append_final_answer(trace: Trace, main: _Thread) -> None:
    """Add the answer that only the root tells, as a run that ends outside a model call leaves it."""
    for span in trace.spans:
        answer = span.attributes.get("output.value")
        if span.parent_id is not None or span.kind not in ("AGENT", "CHAIN") or not isinstance(answer, str):
            continue
        recent = "\n".join(m.content + "".join(c.arguments for c in m.tool_calls) for m in main.messages[-3:])
        if answer.strip() and answer.strip() not in recent:
            main.messages.append(Message(role="assistant", content=answer, span_id=span.span_id))


def _untold_errors(trace: Trace, known: Sequence[str]) -> Iterable[str]:
    told = "\n".join(known)
    seen: set[str] = set()
    for span in trace.spans:
        error = _error_text(span) if span.status == "ERROR" else ""
        # A step repeats the error of the tool in it behind a class name of its own.
        core = error.rpartition("Error: ")[2].strip() or error
        if error and core not in told and core not in seen:
            seen.add(core)
            yield f"{span.kind} {span.name}: {error}"


def _outcome(trace: Trace, calls: Sequence[_Call]) -> Outcome:
    """Failure where a root, an agent or the last model call ended in an error; otherwise unknown.

    openai-agents leaves its root OK when the run below it failed, so agents count wherever they are.
    """
    ids = {span.span_id for span in trace.spans}
    for span in trace.spans:
        is_top = span.parent_id is None or span.parent_id not in ids
        if span.status == "ERROR" and (is_top or span.kind == "AGENT"):
            return Outcome(
                name="failure",
                judged_by=f"status of {span.kind} span '{span.name}'",
                detail=_error_text(span),
            )
    last = calls[-1].span
    if last.status == "ERROR" and calls[-1].answer is None:
        return Outcome(name="failure", judged_by="status of the last LLM span", detail=_error_text(last))
    return Outcome()


def _attribute_names(calls: Sequence[_Call]) -> str:
    names = sorted({name for call in calls for name in call.span.attributes})
    shown = ", ".join(names[:20]) or "no attributes"
    return f"{shown}, and {len(names) - 20} more" if len(names) > 20 else shown
