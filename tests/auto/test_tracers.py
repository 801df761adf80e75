"""logfire and ddtrace beside Kaizen: their spans are the same as without it, and with force both receive.

Run by `make tracers`, in an environment of its own that has the two; conftest.py leaves it out of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auto.collector import Collector
    from tests.auto.conftest import RunAgent

LOGFIRE = """
def set_up():
    import logfire
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    memory = InMemorySpanExporter()
    logfire.configure(
        send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(memory)]
    )
    logfire.instrument_openai()
    return lambda: [span.name for span in memory.get_finished_spans()]
"""
DDTRACE = """
def set_up():
    from ddtrace import patch, tracer
    from ddtrace.trace import TraceFilter
    spans = []

    class Keep(TraceFilter):
        def process_trace(self, trace):
            spans.extend(span.name for span in trace)

    tracer.configure(trace_processors=[Keep()])
    patch(openai=True)
    from opentelemetry import trace
    from ddtrace.opentelemetry import TracerProvider
    trace.set_tracer_provider(TracerProvider())
    return lambda: spans
"""
TRACERS = {"logfire": LOGFIRE, "ddtrace": DDTRACE}
KAIZEN = "from kaizen import auto\nauto.enable_tracing(force={force})\n"
SET_UP = "theirs = set_up()\n"
FRAMEWORK = "import openai\n"
ASK = """
import asyncio
ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
openai.OpenAI().chat.completions.create(**ask)
asyncio.run(openai.AsyncOpenAI().chat.completions.create(**ask))
list(openai.OpenAI().chat.completions.create(**ask, stream=True))
print(theirs())
"""
# What the agent suppresses itself is nobody's. ddtrace's context drops the wish.
SUPPRESSED = """
from openinference.instrumentation import suppress_tracing
with suppress_tracing(): openai.OpenAI().chat.completions.create(**ask)
"""
ORDERS = {
    "set up before Kaizen": (SET_UP, KAIZEN, FRAMEWORK),
    "set up after Kaizen": (KAIZEN, SET_UP, FRAMEWORK),
    "set up after the framework": (KAIZEN, FRAMEWORK, SET_UP),
}


def run(run_agent: RunAgent, tracer: str, lines: tuple[str, ...], *, force: bool = False) -> str:
    ended = run_agent(
        TRACERS[tracer]
        + "".join(lines).replace("{force}", str(force))
        + ASK
        + (SUPPRESSED if tracer == "logfire" else ""),
        enabled=False,
        cold=True,
        DD_TRACE_OTEL_ENABLED="true",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def traces(tracer: str, order: str, force: bool) -> bool:
    """Whether Kaizen traces beside the other tracer.

    Without force it stands back from a provider that is there before the framework; set up later, ddtrace
    tolerates it and logfire keeps its calls to itself.
    """
    return force or (tracer, order) == ("ddtrace", "set up after the framework")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tracer", TRACERS)
def test_the_other_tracer_records_what_it_does_alone_and_both_do_with_force(
    tracer: str, order: str, force: bool, run_agent: RunAgent, collector: Collector, run_directory: Path
) -> None:
    alone = once_a_run(run_directory / f"{tracer}.json", lambda: run(run_agent, tracer, (SET_UP, FRAMEWORK)))
    assert alone != "[]\n"
    assert collector.spans == []
    assert run(run_agent, tracer, ORDERS[order], force=force) == alone
    assert len(collector.of_kind("LLM")) == (3 if traces(tracer, order, force) else 0)
