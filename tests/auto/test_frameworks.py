"""Each framework over real HTTP: its spans arrive, in the right project, one LLM span per call."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import ModelServer
from tests.auto.collector import Collector, Span
from tests.auto.process import run_python
from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auto.conftest import RunAgent

PROJECT = "my agents/first"

# One process for the three that are slow to import; agent_run tells whose spans are whose.
THREE = """
    import asyncio, atexit, os, sys

    # The last thing at exit: to take all the modules apart takes longer than the calls.
    status = 1
    atexit.register(lambda: (sys.stdout.flush(), sys.stderr.flush(), os._exit(status)))
    import kaizen.auto
    from kaizen.auto import agent_run
    import litellm

    ask = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    with agent_run("litellm", session_id="session-1"):
        litellm.completion(**ask)
        list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))
        asyncio.run(litellm.acompletion(**ask))
        litellm.embedding(model="openai/text-embedding-3-small", input=["hello"])

    from smolagents import LiteLLMModel, OpenAIModel, ToolCallingAgent
    for model in (OpenAIModel("gpt-4o-mini"), LiteLLMModel("openai/gpt-4o-mini")):
        with agent_run(type(model).__name__):
            ToolCallingAgent(tools=[], model=model, max_steps=1, verbosity_level=0).run("hello")

    from agents import Agent, OpenAIChatCompletionsModel, Runner, add_trace_processor, set_default_openai_api
    from agents.tracing import TracingProcessor, get_trace_provider
    from agents.tracing.processors import default_exporter
    from openai import AsyncOpenAI
    default_exporter().endpoint = os.environ["KAIZEN_TRACING_ENDPOINT"] + "/ingest"

    class Own(TracingProcessor):
        ended = 0
        def on_trace_start(self, trace): pass
        def on_trace_end(self, trace): Own.ended += 1
        def on_span_start(self, span): pass
        def on_span_end(self, span): pass
        def shutdown(self): pass
        def force_flush(self): pass

    add_trace_processor(Own())
    kinds = [type(one).__name__ for one in get_trace_provider()._multi_processor._processors]
    assert kinds == ["BatchTraceProcessor", "OpenInferenceTracingProcessor", "Own"], kinds

    async def streamed():
        # The SDK's own client belongs to the event loop of the runs before.
        model = OpenAIChatCompletionsModel("gpt-4o-mini", AsyncOpenAI())
        result = Runner.run_streamed(Agent(name="chat", model=model), "hello")
        async for _ in result.stream_events(): pass

    with agent_run("responses"):
        Runner.run_sync(Agent(name="responses", model="gpt-4o-mini"), "hello")
    set_default_openai_api("chat_completions")
    with agent_run("chat"):
        Runner.run_sync(Agent(name="chat", model="gpt-4o-mini"), "hello")
    assert "agents.realtime" not in sys.modules
    from agents.realtime.session import RealtimeSession
    assert hasattr(RealtimeSession._put_event, "_self_wrapper")
    with agent_run("with its extension"):
        Runner.run_sync(Agent(name="chat", model="gpt-4o-mini"), "hello")
    with agent_run("streamed"):
        asyncio.run(streamed())
    assert Own.ended == 4
    assert kaizen.auto.get_instrumented_frameworks() == ["litellm", "openai", "openai_agents", "smolagents"]
    status = 0
"""


@dataclass(frozen=True)
class Three:
    """How the process of the three ended, its spans by the agent_run around them, what the SDK exported."""

    returncode: int
    stdout: str
    stderr: str
    spans: dict[str, list[Span]]
    ingested: list[dict[str, Any]]


def run_three(folder: Path) -> dict[str, Any]:
    with Collector() as collector, ModelServer() as model_server:
        ended = run_python(
            THREE,
            folder=folder,
            collector_url=collector.url,
            model_url=model_server.base_url,
            KAIZEN_TRACING_PROJECT=PROJECT,
        )
        runs = {span.trace_id: span.name for span in collector.spans if span.scope == "kaizen.auto"}
        spans: dict[str, list[Any]] = {}
        for span in collector.spans:
            if span.scope != "kaizen.auto":
                spans.setdefault(runs.get(span.trace_id, "elsewhere"), []).append(asdict(span))
        return {
            "returncode": ended.returncode,
            "stdout": ended.stdout,
            "stderr": ended.stderr,
            "spans": spans,
            "ingested": collector.ingested,
        }


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, run_directory: Path) -> Three:
    said = once_a_run(run_directory / "three.json", lambda: run_three(tmp_path_factory.mktemp("three")))
    spans = {run: [Span(**span) for span in spans] for run, spans in said["spans"].items()}
    return Three(**{**said, "spans": spans})


def kinds(spans: list[Span]) -> Counter[str | None]:
    return Counter(span.kind for span in spans)


def calls(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.kind == "LLM"]


def test_the_process_ends_well_with_nothing_of_ours_on_stdout(three: Three) -> None:
    assert three.returncode == 0, three.stderr
    assert "kaizen" not in three.stdout
    assert "OpenTelemetry" not in three.stdout
    assert "elsewhere" not in three.spans
    assert {span.project for run in three.spans.values() for span in run} == {PROJECT}


def test_the_agents_sdk_s_own_exporter_goes_on(three: Three) -> None:
    traces = [item for item in three.ingested if item["object"] == "trace"]
    assert len(traces) == 4
    assert {item["object"] for item in three.ingested} == {"trace", "trace.span"}


def test_litellm_calls_are_one_span_each_with_their_tokens(three: Three) -> None:
    spans = three.spans["litellm"]
    assert {span.scope for span in spans} == {"openinference.instrumentation.litellm"}
    assert kinds(spans) == {"LLM": 3, "EMBEDDING": 1}
    assert all(span.attributes.get("llm.token_count.total", 0) > 0 for span in calls(spans))
    assert {span.attributes["session.id"] for span in spans} == {"session-1"}


@pytest.mark.parametrize("model", ["OpenAIModel", "LiteLLMModel"])
def test_smolagents_runs_have_one_llm_span_per_request_however_many_layers(three: Three, model: str) -> None:
    spans = three.spans[model]
    # One step that finds no tool call, and the final answer after the last step.
    assert [span.name for span in calls(spans)] == [f"{model}.generate"] * 2
    assert kinds(spans)["AGENT"] == 1
    assert kinds(spans)["CHAIN"] == 1


@pytest.mark.parametrize("run", ["responses", "chat", "streamed", "with its extension"])
def test_openai_agents_runs_have_one_llm_span_per_request(three: Three, run: str) -> None:
    (call,) = calls(three.spans[run])
    assert call.scope == "openinference.instrumentation.openai_agents"
    # Nobody is told the tokens of a stream that did not ask for them.
    assert run == "streamed" or call.attributes["llm.token_count.prompt"] > 0
    assert call.attributes["llm.output_messages.0.message.role"] == "assistant"
    ids = {span.span_id for span in three.spans[run]}
    assert len([span for span in three.spans[run] if span.parent_id not in ids]) == 1


def test_openai_chat_streamed_responses_embeddings_and_async(
    run_agent: RunAgent, collector: Collector
) -> None:
    ended = run_agent(
        """
        import asyncio
        import kaizen.auto
        from openai import AsyncOpenAI, OpenAI

        ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        client = OpenAI()
        client.chat.completions.create(**ask)
        list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        client.responses.create(model="gpt-4o-mini", input="hello")
        client.embeddings.create(model="text-embedding-3-small", input="hello")
        asyncio.run(AsyncOpenAI().chat.completions.create(**ask))
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "system", "content": "be brief"}] + [{"role": "user", "content": "x"}] * 400,
        )
        assert kaizen.auto.get_instrumented_frameworks() == ["openai"]
        """,
        cold=True,
        KAIZEN_TRACING_PROJECT=PROJECT,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    names = Counter(span.name for span in collector.spans)
    assert names == {"ChatCompletion": 4, "Response": 1, "CreateEmbeddings": 1}
    assert {span.project for span in collector.spans} == {PROJECT}
    assert all(span.attributes["llm.token_count.total"] > 0 for span in collector.of_kind("LLM"))
    assert {export.path for export in collector.exports} == {"/v1/traces"}
    (long,) = [span for span in collector.spans if "llm.input_messages.400.message.role" in span.attributes]
    assert long.attributes["llm.input_messages.0.message.content"] == "be brief"
    assert "input.value" in long.attributes


def test_a_phoenix_server_beside_the_agent_changes_no_span(
    run_agent: RunAgent, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = tmp_path_factory.mktemp("server") / "phoenix"
    server.mkdir()
    (server / "__init__.py").write_text("raise RuntimeError('the server was imported')\n")
    source = """
        import sys, time
        from openai import OpenAI
        started = time.process_time()
        import kaizen.auto
        # The promise is 0.2 s, kept on an idle machine; the server itself would take seconds.
        assert time.process_time() - started < 1
        OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
        provider = kaizen.auto.get_tracer_provider()
        assert provider._span_limits.max_span_attributes == 10_000
        others = [name for name in ("litellm", "smolagents", "agents", "pandas") if name in sys.modules]
        print(type(provider).__module__.split(".")[0], "phoenix" in sys.modules, others)
    """
    alone = run_agent(source)
    beside = run_agent(source, cold=True, PYTHONPATH=str(server.parent))
    assert (alone.stdout, beside.stdout) == ("phoenix True []\n", "openinference False []\n"), beside.stderr
    first, second = collector.spans
    assert first.attributes.keys() == second.attributes.keys()
    assert (first.name, first.scope) == (second.name, second.scope)
    for span in (first, second):
        del span.resource["service.instance.id"]
    assert first.resource == second.resource
    assert first.project == "kaizen-agent"
