"""The trajectory of a trace: which spans are model calls, how they follow each other, how it ended."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kaizen.sync.errors import UnknownShapeError
from kaizen.sync.messages import (
    canonical_arguments,
    input_messages,
    load_json,
    messages_of_json,
    output_messages,
    response_ids,
    tool_schemas,
)
from kaizen.sync.model import Conversation, Message, Outcome, Span, Trace, Trajectory, Usage
from kaizen.sync.tool_results import ToolSpans, error_text, unwrapped, with_tool_results

NO_LLM_SPAN = "no LLM span"


def build_trajectory(trace: Trace) -> Trajectory:
    """Turn the spans of one trace into its trajectory.

    Raises `UnknownShapeError` where the trace has no LLM span, or none whose messages are understood; the
    message then names the attributes seen.
    """
    try:
        return _build(trace)
    except RecursionError as error:
        raise UnknownShapeError("unknown shape: values nested too deeply") from error


def _build(trace: Trace) -> Trajectory:
    calls = _model_calls(trace)
    if not calls:
        raise UnknownShapeError(NO_LLM_SPAN)
    threads = _threads(trace, calls)
    if not threads:
        raise UnknownShapeError(_no_messages(calls))
    tools = ToolSpans(trace)
    for thread in threads:
        thread.messages = with_tool_results(thread.messages, tools)
    main = _main(threads)
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


_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    """One logical model call: a span, and those nested in it because several layers trace the same call."""

    span: Span
    given: list[Message]
    answer: Message | None
    usage: Usage
    response_id: str = ""
    previous_response_id: str = ""


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
    response_id, previous_response_id = next(filter(any, map(response_ids, layers)), ("", ""))
    return _Call(
        span=top,
        given=given,
        answer=answers[0] if answers else None,
        usage=max(usages, key=lambda usage: usage.prompt_tokens + usage.completion_tokens),
        response_id=response_id,
        previous_response_id=previous_response_id,
    )


def _usage(span: Span) -> Usage:
    def count(name: str) -> int:
        value = span.attributes.get(f"llm.token_count.{name}")
        return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0

    return Usage(prompt_tokens=count("prompt"), completion_tokens=count("completion"))


@dataclass(slots=True)
class _Thread:
    """One conversation while it grows: all its messages, and what its newest call was given.

    `around` are the ids of the AGENT and TOOL spans that it runs in, from the innermost. `exchange` is the
    last message that the newest call was given, and its answer.
    """

    name: str
    messages: list[Message]
    around: tuple[str, ...] = ()
    is_in_tool: bool = False
    given: list[_Key] = field(default_factory=list)
    exchange: list[_Key] = field(default_factory=list)
    system: tuple[str, ...] = ()
    answer: Message | None = None
    response_id: str = ""

    def continues_with(self, given: Sequence[_Key]) -> bool:
        """Whether a call given these messages is the next one of this conversation.

        The same messages once more are a retry if there was no answer, otherwise a call of its own.
        """
        if not self.given or given[: len(self.given)] != self.given:
            return False
        return len(given) > len(self.given) or self.answer is None

    def echoed_in(self, given: Sequence[_Key]) -> int | None:
        """Where the last answer comes back, right after what was asked then; the history may be cut before.

        Agents drop old messages to save room, and span limits drop the oldest attributes.
        """
        if len(self.exchange) < 2 or self.exchange[1] not in given:
            return None
        return next((i for i in range(len(given) - 1, 0, -1) if given[i - 1 : i + 1] == self.exchange), None)

    def awaits(self, results: Sequence[Message]) -> bool:
        """Whether these are results of the tools that this conversation called last."""
        called = {call.id for call in self.answer.tool_calls} if self.answer else set()
        return all(message.tool_call_id in called for message in results)


def _threads(trace: Trace, calls: Iterable[_Call]) -> list[_Thread]:
    spans = {span.span_id: span for span in trace.spans}
    threads: list[_Thread] = []
    for call in calls:
        if not call.given and call.answer is None:
            continue
        system = tuple(m.content for m in call.given if m.role == "system")
        given = [message for message in call.given if message.role != "system"]
        keys = _keys(given)
        thread, new = _thread_for(threads, call, given, keys)
        if thread is None:
            thread = _new_thread(call, spans, system)
            threads.append(thread)
        else:
            changed = [m for m in call.given if m.role == "system"] if system != thread.system else []
            thread.system = system
            _extend(thread, new, changed)
        thread.given = keys
        thread.answer = call.answer
        thread.exchange = [*keys[-1:], *_keys([call.answer])] if call.answer else []
        thread.response_id = call.response_id
        if call.answer is not None:
            thread.messages.append(call.answer)
    return threads


def _thread_for(
    threads: list[_Thread], call: _Call, given: list[Message], keys: list[_Key]
) -> tuple[_Thread | None, list[Message]]:
    """The conversation that a call continues, and which of its messages are new in it."""
    continued = [thread for thread in threads if thread.continues_with(keys)]
    if continued:
        longest = max(continued, key=lambda thread: len(thread.given))
        return longest, given[len(longest.given) :]
    for thread in reversed(threads):
        if (echo := thread.echoed_in(keys)) is not None:
            return thread, given[echo:]
        # The Responses API keeps the history on its side: such a call is given only what is new.
        if call.previous_response_id and call.previous_response_id == thread.response_id:
            return thread, given
    if not given or any(message.role != "tool" for message in given):
        return None, given
    return next((thread for thread in reversed(threads) if thread.awaits(given)), None), given


def _new_thread(call: _Call, spans: Mapping[str, Span], system: tuple[str, ...]) -> _Thread:
    around = [span for span in _ancestors(call.span, spans) if span.kind in ("AGENT", "TOOL")]
    agent = next((span for span in around if span.kind == "AGENT"), None)
    return _Thread(
        name=str(agent.attributes.get("agent.name") or agent.name) if agent else "",
        messages=list(call.given),
        around=tuple(span.span_id for span in around),
        is_in_tool=any(span.kind == "TOOL" for span in around),
        system=system,
    )


def _main(threads: Sequence[_Thread]) -> _Thread:
    """The longest of the conversations that run in no other's agent or tool."""
    homes = {thread.around[0] for thread in threads if thread.around}
    has_outermost = any(not thread.around for thread in threads)
    outer = [
        thread
        for thread in threads
        if homes.isdisjoint(thread.around[1:]) and not (has_outermost and thread.is_in_tool)
    ]
    return max(outer or threads, key=lambda thread: len(thread.messages))


def _ancestors(span: Span, spans: Mapping[str, Span]) -> Iterator[Span]:
    """The span itself, its parent, and so on; an endless circle of parents is left."""
    seen: set[str] = set()
    current: Span | None = span
    while current is not None and current.span_id not in seen:
        seen.add(current.span_id)
        yield current
        current = spans.get(current.parent_id or "")


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


def _keys(messages: Sequence[Message]) -> list[_Key]:
    return [
        (m.role, m.content.strip(), *((c.name, canonical_arguments(c.arguments)) for c in m.tool_calls))
        for m in messages
    ]


def _append_final_answer(trace: Trace, main: _Thread) -> None:
    """Add the answer that only the root tells, as a run that ends outside a model call leaves it."""
    for span in trace.spans:
        answer = span.attributes.get("output.value")
        if span.parent_id is not None or span.kind not in ("AGENT", "CHAIN") or not isinstance(answer, str):
            continue
        recent = "\n".join(m.content + "".join(c.arguments for c in m.tool_calls) for m in main.messages[-3:])
        if answer.strip() and answer.strip() not in recent and not _is_conversation(answer):
            main.messages.append(Message(role="assistant", content=answer, span_id=span.span_id))


def _is_conversation(output: str) -> bool:
    """Whether an output is the messages of a run, as graphs give their state, and no answer."""
    try:
        return bool(messages_of_json(load_json(output)))
    except ValueError:
        return False


def _untold_errors(trace: Trace, known: Sequence[str]) -> Iterable[str]:
    told = "\n".join(known)
    untold: dict[str, str] = {}
    for span in trace.spans:
        error = error_text(span) if span.status == "ERROR" else ""
        # A step repeats the error of the tool in it behind a class name of its own.
        core = unwrapped(error).rpartition("Error: ")[2].strip() or error
        if core and core not in told:
            untold.setdefault(core, f"{span.kind} {span.name}: {error}")
    for core, line in untold.items():
        if not any(core in other for other in untold if other != core):
            yield line


def _outcome(trace: Trace, calls: Sequence[_Call]) -> Outcome:
    """Failure where a root, an agent or the last model call ended in an error; otherwise unknown.

    openai-agents leaves its root OK when the run below it failed, so agents count wherever they are. An
    error after which a model call was answered did not end the run.
    """
    ids = {span.span_id for span in trace.spans}
    answered = max((call.span.start_time for call in calls if call.answer is not None), default=None)
    fatal = [
        span
        for span in trace.spans
        if span.status == "ERROR"
        and (span.kind == "AGENT" or span.parent_id not in ids)
        and (answered is None or answered < span.end_time)
    ]
    if fatal:
        span = max(fatal, key=lambda span: span.end_time)
        judged_by = f"status of {span.kind} span '{span.name}'"
        return Outcome(name="failure", judged_by=judged_by, detail=error_text(span))
    last = calls[-1].span
    if last.status == "ERROR" and calls[-1].answer is None:
        return Outcome(name="failure", judged_by="status of the last LLM span", detail=error_text(last))
    return Outcome()


def _no_messages(calls: Sequence[_Call]) -> str:
    failed = [call.span for call in calls if call.span.status == "ERROR"]
    if len(failed) == len(calls):
        return f"no messages, only failed model calls: {error_text(failed[0]) or 'no error text'}"
    return f"unknown shape: {_attribute_names(calls)}"


def _attribute_names(calls: Sequence[_Call]) -> str:
    names = sorted({name for call in calls for name in call.span.attributes})
    shown = ", ".join(names[:20]) or "no attributes"
    return f"{shown}, and {len(names) - 20} more" if len(names) > 20 else shown
