"""The dialects in which frameworks write model calls into spans: one module each, listed in one table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.sync.trajectory.chat import merge_assistants
from kaizen.sync.trajectory.dialects import (
    agent_runs,
    any_agent,
    completions,
    gen_ai_attributes,
    gen_ai_events,
    indexed_prompts,
    langchain,
    litellm_callback,
    openinference,
    raw_values,
    vercel_ai_sdk,
)
from kaizen.sync.trajectory.dialects.dialect import Dialect, SpanContent, has_arguments, is_whole

if TYPE_CHECKING:
    from types import ModuleType

    from kaizen.sync.model import Message, Span, Trace


def _dialect(name: str, module: ModuleType) -> Dialect:
    """Return the dialect that a module defines; `is_model_call` is for those that write no kind."""
    known = {"is_model_call": module.is_model_call} if hasattr(module, "is_model_call") else {}
    return Dialect(name, module.recognises, module.read, **known)


# The first that tells the whole call is believed: originals come before what was converted from them.
DIALECTS = (
    _dialect("any-agent", any_agent),
    _dialect("GenAI attributes", gen_ai_attributes),
    _dialect("GenAI events", gen_ai_events),
    _dialect("LiteLLM callback", litellm_callback),
    _dialect("Vercel AI SDK", vercel_ai_sdk),
    _dialect("OpenInference", openinference),
    _dialect("OpenLLMetry", indexed_prompts),
    _dialect("LangChain", langchain),
    _dialect("completions", completions),
    _dialect("raw values", raw_values),
)

# Spans around model calls that hold a whole run: read where the trace has no model call of its own.
AGENT_RUNS = (
    Dialect("pydantic-ai", agent_runs.recognises_pydantic_ai, agent_runs.read_pydantic_ai),
    Dialect("Claude Agent SDK", agent_runs.recognises_claude, agent_runs.read_claude),
    Dialect("Vercel AI SDK", vercel_ai_sdk.is_outer_call, vercel_ai_sdk.read),
)


# Read where the trace has neither: any other span that holds messages, such as a voice agent's transcript.
OTHER_SPANS = tuple(dialect for dialect in DIALECTS if dialect.name != "raw values")


def model_spans(trace: Trace) -> list[Span]:
    """Return the spans that are model calls: of kind LLM, or known by a dialect that writes another kind.

    If there is none, the spans that hold a whole run; if there is none of these, any with messages.
    """
    found = [s for s in trace.spans if s.kind == "LLM" or any(d.is_model_call(s) for d in DIALECTS)]
    return (
        found
        or [s for s in trace.spans if any(d.recognises(s) for d in AGENT_RUNS)]
        or [s for s in trace.spans if s.kind != "TOOL" and any(d.recognises(s) for d in OTHER_SPANS)]
    )


def read_span(span: Span) -> SpanContent:
    """Read a model call with the first dialect that holds all of it.

    The answer is at most one message, since an answer given in items is merged.
    """
    if span.kind != "LLM":
        for run in AGENT_RUNS:
            if run.recognises(span):
                return run.read(span)
    given: list[Message] = []
    answer: list[Message] = []
    is_delta, dropped = False, 0
    for dialect in DIALECTS:
        if not dialect.recognises(span):
            continue
        content = dialect.read(span)
        told = merge_assistants(content.given)
        if not given or (not is_whole(given) and is_whole(told)):
            given = told
        # Whatever its role is called, it is the model that speaks, unless it reports what a tool gave.
        own = [replace(message, role="assistant") for message in content.answer if message.role != "tool"]
        dropped = max(dropped, len(content.answer) - len(own))
        said = merge_assistants(own)
        if not answer or (not has_arguments(answer) and has_arguments(said)):
            answer = said
        is_delta = is_delta or content.is_delta
        if (is_delta or is_whole(given)) and has_arguments(answer):
            break
    return SpanContent(given=given, answer=answer[:1], is_delta=is_delta, dropped=0 if answer else dropped)
