"""agent_run: a root AGENT span around what belongs together."""

from __future__ import annotations

import asyncio
import contextvars
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from openinference.instrumentation import TracerProvider
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as PlainTracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from kaizen.auto import agent_run, tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Traced:
    """What came out, with calls that look like an instrumentor's."""

    def __init__(self, provider: TracerProvider, memory: InMemorySpanExporter) -> None:
        self.provider = provider
        self._memory = memory

    def call(self) -> None:
        self.provider.get_tracer("openinference.instrumentation.openai").start_span("call").end()

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._memory.get_finished_spans()}

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())

    def attributes(self, name: str = "run") -> dict[str, Any]:
        return dict(self.spans[name].attributes or {})


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(tracing, "provider", lambda: provider)
    return Traced(provider, memory)


def test_a_context_manager_gives_its_calls_one_trace_and_a_session(traced: Traced) -> None:
    with agent_run("run", session_id="session") as run:
        run.set_input("question")
        traced.call()
        run.set_output({"answer": 42})
    root, call = traced.spans["run"], traced.spans["call"]
    assert root.parent is None
    assert call.parent is not None
    assert call.parent.span_id == root.context.span_id
    assert traced.attributes("call")["session.id"] == "session"
    attributes = traced.attributes()
    assert attributes["openinference.span.kind"] == "AGENT"
    assert (attributes["input.value"], attributes["input.mime_type"]) == ("question", "text/plain")
    assert json.loads(attributes["output.value"]) == {"answer": 42}
    assert attributes["output.mime_type"] == "application/json"
    assert attributes["session.id"] == "session"
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_decorated_function_records_arguments_and_result(traced: Traced) -> None:
    @agent_run("run")
    def answer(question: str, *, times: int = 1) -> str:
        """Answer."""
        traced.call()
        return question.upper() * times

    assert answer("yes", times=2) == "YESYES"
    assert (answer.__name__, answer.__doc__) == ("answer", "Answer.")
    attributes = traced.attributes()
    assert json.loads(attributes["input.value"]) == {"question": "yes", "times": 2}
    assert attributes["output.value"] == "YESYES"
    assert traced.spans["call"].parent is not None


def test_coroutines_run_at_the_same_time_without_mixing(traced: Traced) -> None:
    @agent_run("run")
    async def answer(question: str) -> str:
        with agent_run(question):
            await asyncio.sleep(0)
        return question

    async def main() -> list[str]:
        async with agent_run("around"):
            return await asyncio.gather(answer("a"), answer("b"))

    assert asyncio.run(main()) == ["a", "b"]
    around, a, b = (traced.spans[name] for name in ("around", "a", "b"))
    assert a.parent != b.parent
    assert {span.context.trace_id for span in (a, b, around)} == {around.context.trace_id}


def test_a_generator_is_a_run_until_it_ends_and_its_consumer_is_not_in_it(traced: Traced) -> None:
    @agent_run("run")
    def stream(text: str) -> Iterator[str]:
        for letter in text:
            traced.call()
            yield letter

    for _ in stream("abc"):
        assert not trace.get_current_span().get_span_context().is_valid
    assert traced.attributes()["output.value"] == "abc"
    assert traced.spans["call"].parent is not None


def test_an_asynchronous_generator_too(traced: Traced) -> None:
    @agent_run("run")
    async def stream(text: str) -> AsyncIterator[str]:
        for letter in text:
            traced.call()
            yield letter

    async def main() -> str:
        return "".join([letter async for letter in stream("abc")])

    assert asyncio.run(main()) == "abc"
    assert traced.attributes()["output.value"] == "abc"
    assert traced.spans["call"].parent is not None


def test_an_error_passes_and_is_recorded(traced: Traced) -> None:
    @agent_run("run")
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    status = traced.spans["run"].status
    assert (status.status_code, status.description) == (trace.StatusCode.ERROR, "ValueError: no")
    with pytest.raises(KeyError), agent_run("again"):
        raise KeyError("x")
    assert traced.spans["again"].status.status_code is trace.StatusCode.ERROR


def test_a_foreign_span_around_it_is_linked_but_neither_parent_nor_sampler(traced: Traced) -> None:
    foreign = PlainTracerProvider(shutdown_on_exit=False, sampler=ALWAYS_OFF)
    with foreign.get_tracer("web").start_as_current_span("request") as request, agent_run("run"):
        traced.call()
    root = traced.spans["run"]
    assert root.parent is None
    assert [link.context.span_id for link in root.links] == [request.get_span_context().span_id]
    assert traced.spans["call"].context.trace_id == root.context.trace_id


def test_values_that_are_no_json_and_methods_are_recorded(traced: Traced) -> None:
    class Agent:
        @agent_run("run")
        def ask(self, thing: object) -> object:
            return self

        def __repr__(self) -> str:
            return "an agent"

    Agent().ask({1, 2})
    attributes = traced.attributes()
    assert json.loads(attributes["input.value"]) == {"thing": "{1, 2}"}
    assert json.loads(attributes["output.value"]) == "an agent"


def test_a_tracer_that_fails_changes_nothing(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(traced.provider, "get_tracer", fail)

    @agent_run("run")
    def answer() -> int:
        return 42

    assert answer() == 42
    with agent_run("run") as run:
        run.set_output(1)


def test_inputs_and_outputs_are_hidden_when_openinference_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENINFERENCE_HIDE_INPUTS", "true")
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(tracing, "provider", lambda: provider)
    with agent_run("run") as run:
        run.set_input("secret")
    assert "secret" not in str(memory.get_finished_spans()[0].attributes)


def test_threads_begin_traces_of_their_own_unless_they_get_the_context(traced: Traced) -> None:
    def call_in_pool() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(traced.call).result()

    def call_in_pool_with_context() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, traced.call).result()

    def call_in_thread_of_asyncio() -> None:
        asyncio.run(asyncio.to_thread(traced.call))

    traces = []
    for call in (call_in_pool, call_in_pool_with_context, call_in_thread_of_asyncio):
        with agent_run("run"):
            call()
        inner, run = [span.context.trace_id for span in traced.all[-2:] if span.context is not None]
        traces.append(inner == run)
    assert traces == [False, True, True]
