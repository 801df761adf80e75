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
    from kaizen.sync.model import Message, Span, Trace

# The first that tells the whole call is believed: originals come before what was converted from them.
DIALECTS = (
    Dialect(
        name="any-agent",
        recognises=any_agent.recognises,
        read=any_agent.read,
        is_model_call=any_agent.is_model_call,
    ),
    Dialect(
        name="GenAI attributes",
        recognises=gen_ai_attributes.recognises,
        read=gen_ai_attributes.read,
        is_model_call=gen_ai_attributes.is_model_call,
    ),
    Dialect(name="GenAI events", recognises=gen_ai_events.recognises, read=gen_ai_events.read),
    Dialect(
        name="LiteLLM callback",
        recognises=litellm_callback.recognises,
        read=litellm_callback.read,
        is_model_call=litellm_callback.is_model_call,
    ),
    Dialect(
        name="Vercel AI SDK",
        recognises=vercel_ai_sdk.recognises,
        read=vercel_ai_sdk.read,
        is_model_call=vercel_ai_sdk.is_model_call,
    ),
    Dialect(name="OpenInference", recognises=openinference.recognises, read=openinference.read),
    Dialect(name="OpenLLMetry", recognises=indexed_prompts.recognises, read=indexed_prompts.read),
    Dialect(name="LangChain", recognises=langchain.recognises, read=langchain.read),
    Dialect(name="completions", recognises=completions.recognises, read=completions.read),
    Dialect(name="raw values", recognises=raw_values.recognises, read=raw_values.read),
)

# Spans around model calls that hold a whole run: read where the trace has no model call of its own.
AGENT_RUNS = (
    Dialect(
        name="pydantic-ai",
        recognises=agent_runs.recognises_pydantic_ai,
        read=agent_runs.read_pydantic_ai,
    ),
    Dialect(name="Claude Agent SDK", recognises=agent_runs.recognises_claude, read=agent_runs.read_claude),
    Dialect(name="Vercel AI SDK", recognises=vercel_ai_sdk.is_outer_call, read=vercel_ai_sdk.read),
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
    """Read a model call with the first dialect that holds all of it."""
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
