"""Tracing that the application set up itself: left alone, unless forced, and then both receive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.auto.collector import Collector
    from tests.auto.conftest import RunAgent

MEMORY = """
import logging, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
memory = InMemorySpanExporter()

def names():
    return [span.name for span in memory.get_finished_spans()]

def own_provider():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider

def ask():
    import openai
    messages = [{"role": "user", "content": "hello"}]
    openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages)
"""


def test_a_provider_set_before_the_framework_is_imported_is_in_charge(
    run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        MEMORY
        + """
import kaizen.auto
trace.set_tracer_provider(own_provider())
assert kaizen.auto.is_already_instrumented()
ask()
assert kaizen.auto.get_instrumented_frameworks() == []
assert kaizen.auto.get_tracer_provider() is None
status = kaizen.auto.status()
print(status.state, "|", status.reason)
with kaizen.auto.agent_run("nothing"): pass
with trace.get_tracer("own").start_as_current_span("own"): pass
print(names())
"""
    )
    assert ended.stdout == (
        "standing back | "
        "the application set a tracer provider (opentelemetry.sdk.trace.TracerProvider)\n['own']\n"
    ), ended.stderr
    assert collector.spans == []


@pytest.mark.parametrize(
    "setting",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"}],
    ids=lambda setting: next(iter(setting)),
)
def test_opentelemetry_s_own_switches_are_respected(setting: dict[str, str], run_agent: RunAgent) -> None:
    ended = run_agent(
        """
        import sys, kaizen.auto, openai
        assert kaizen.auto.get_instrumented_frameworks() == []
        assert "kaizen.auto.pipeline.provider" not in sys.modules
        """,
        **setting,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_forced_beside_a_provider_that_traces_something_else(
    run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        MEMORY
        + """
trace.set_tracer_provider(own_provider())
import kaizen.auto
ask()
from kaizen.auto import enable_tracing
enable_tracing(force=True, project="forced")
ask()
print(names(), kaizen.auto.get_instrumented_frameworks())
assert trace.get_tracer_provider() is not kaizen.auto.get_tracer_provider()
"""
    )
    assert ended.stdout == "[] ['openai']\n", ended.stderr
    assert [(span.name, span.project) for span in collector.spans] == [("ChatCompletion", "forced")]


def test_forced_where_the_application_traces_the_framework_both_receive(
    run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        MEMORY
        + """
from openinference.instrumentation.openai import OpenAIInstrumentor
provider = own_provider()
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
from kaizen.auto import disable_tracing, enable_tracing
enable_tracing(force=True, project="forced")
with trace.get_tracer("http").start_as_current_span("not for Phoenix"): ask()
print(names())
disable_tracing()
ask()
print(names())
""",
        enabled=False,
    )
    assert ended.stdout == (
        "['ChatCompletion', 'not for Phoenix']\n['ChatCompletion', 'not for Phoenix', 'ChatCompletion']\n"
    ), ended.stderr
    assert [(span.name, span.project) for span in collector.spans] == [("ChatCompletion", "forced")]


@pytest.mark.parametrize("force", [False, True])
def test_an_application_that_instruments_after_us_gets_the_framework(
    force: bool, run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        MEMORY
        + f"""
from kaizen.auto import enable_tracing, get_instrumented_frameworks, status
enable_tracing(force={force})
import openai
from openinference.instrumentation.openai import OpenAIInstrumentor
assert get_instrumented_frameworks() == ["openai"]
provider = own_provider()
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
ask()
print(names(), get_instrumented_frameworks())
assert status().frameworks[0].problem.startswith("instrumented by the application")
OpenAIInstrumentor().uninstrument()
ask()
""",
        enabled=False,
    )
    assert ended.stdout == "['ChatCompletion'] []\n"
    assert ended.stderr == ""
    assert len(collector.spans) == (1 if force else 0)


def test_a_user_s_phoenix_register_keeps_its_processor_when_forced(
    run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        """
        import os
        from phoenix.otel import register
        from openinference.instrumentation.openai import OpenAIInstrumentor
        endpoint = os.environ["KAIZEN_TRACING_ENDPOINT"] + "/v1/traces"
        theirs = register(endpoint=endpoint, project_name="theirs", verbose=False)
        OpenAIInstrumentor().instrument(tracer_provider=theirs)
        from kaizen.auto import enable_tracing
        import openai
        enable_tracing(force=True, project="ours", frameworks="openai")
        messages = [{"role": "user", "content": "hello"}]
        openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages)
        """,
        enabled=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(span.project for span in collector.spans) == ["ours", "theirs"]
    first, second = collector.spans
    assert first.span_id == second.span_id


def test_disabling_gives_everything_back(run_agent: RunAgent, collector: Collector) -> None:
    ended = run_agent(
        MEMORY
        + """
import sys
import openai
original = openai.OpenAI.request
from kaizen.auto import disable_tracing, enable_tracing, get_tracer_provider
enable_tracing(project="first")
assert openai.OpenAI.request is not original
ask()
disable_tracing()
assert openai.OpenAI.request is original
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "kaizen.auto.hook"]
assert get_tracer_provider() is None
ask()
enable_tracing(project="second")
ask()
trace.set_tracer_provider(own_provider())
print(type(trace.get_tracer_provider()).__name__)
""",
        enabled=False,
    )
    assert ended.stdout == "TracerProvider\n", ended.stderr
    assert [span.project for span in collector.spans] == ["first", "second"]
