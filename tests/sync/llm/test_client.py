"""Asking a model through LiteLLM over real HTTP, and all the ways in which that goes wrong."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import ModelAccessError, ModelError, ModelSettings
from kaizen.sync.llm.calling import import_litellm
from kaizen.sync.llm.client import Meter, Model
from kaizen.sync.llm.schemas import DecisionsAnswer, SegmentsAnswer, TipsAnswer
from kaizen.sync.model import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

NATIVE = "openai/gpt-4.1-mini"
BY_PROMPT = "openai/gpt-3.5-turbo"
KEY = "a-key-of-no-known-form"

TIP = {
    "content": "Retry {once}.",
    "category": "recovery",
    "rationale": 'It said "try again".',
    "trigger": "t",
    "implementation_steps": ["a"],
    "task_description": "d",
    "quote": "q",
}
GOOD = json.dumps({"tips": [TIP]})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(scenarios=Scenarios()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait between two attempts would have been; none is waited for."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waited.append))
    return waited


def make(name: str = NATIVE, **settings: Any) -> Model:
    return Model(name, ModelSettings(**{"timeout_s": 10, "attempts": 3, **settings}))


def ask(model: Model) -> TipsAnswer:
    return model.ask(system="Study the run.", user="<run></run>", answer=TipsAnswer, name="kaizen_tips")


def answers(server: ModelServer, *texts: str) -> None:
    """Let the model answer these texts, one after the other."""
    steps = [{"text": text} for text in texts]
    agents = [
        {"name": name or "any", "when": {"schema": name}, "steps": steps} for name in (None, "kaizen_tips")
    ]
    server.scenarios = Scenarios.from_json({"agents": agents})


def test_the_schema_goes_along_where_the_model_supports_it(server: ModelServer) -> None:
    assert ask(make()).tips == []

    [request] = server.requests
    form = request.body["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("kaizen_tips", True)
    assert request.body["messages"][0]["content"] == "Study the run."


@pytest.mark.parametrize("answer", [TipsAnswer, SegmentsAnswer, DecisionsAnswer])
def test_a_schema_is_one_that_strict_mode_takes(answer: Any) -> None:
    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is False
                assert sorted(schema["required"]) == sorted(schema["properties"])
                assert not any("default" in value for value in schema["properties"].values())
            for value in schema.values():
                check(value)

    check(answer.model_json_schema())


def test_the_schema_goes_into_the_prompt_where_the_model_does_not_support_it(server: ModelServer) -> None:
    assert ask(make(BY_PROMPT)).tips == []

    [request] = server.requests
    assert "response_format" not in request.body
    system = request.body["messages"][0]["content"]
    assert system.startswith("Study the run.")
    assert "`kaizen_tips`" in system
    assert '"implementation_steps"' in system


def test_a_fenced_answer_is_taken_without_asking_again(server: ModelServer) -> None:
    answers(server, f"Here:\n```json\n{GOOD}\n```")

    assert [tip.content for tip in ask(make()).tips] == ["Retry {once}."]
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", [NATIVE, BY_PROMPT])
def test_an_unusable_answer_is_asked_for_once_more(server: ModelServer, name: str) -> None:
    server.fail(Fault(kind="nonsense"))

    assert ask(make(name)).tips == []
    first, second = (request.body["messages"] for request in server.requests)
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]
    assert "no JSON in it" in second[-1]["content"]


@pytest.mark.parametrize(("kind", "problem"), [("nonsense", "no JSON in it"), ("empty", "an empty answer")])
def test_an_answer_that_stays_unusable_is_an_error(server: ModelServer, kind: Any, problem: str) -> None:
    server.fail(Fault(kind=kind), times=None)

    with pytest.raises(
        ModelError, match=f"'{NATIVE}' gave no usable answer, asked twice: {problem}"
    ) as caught:
        ask(make())
    assert not isinstance(caught.value, ModelAccessError)
    assert len(server.requests) == 2


def test_an_answer_without_choices_is_an_empty_one(server: ModelServer) -> None:
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    server.fail(Fault(kind="status", status=200, body=body), times=None)

    with pytest.raises(ModelError, match="an empty answer"):
        ask(make())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again(server: ModelServer, waits: list[float], status: int) -> None:
    server.fail(Fault(kind="status", status=status), times=None)

    with pytest.raises(ModelAccessError, match=r"refuses the key .* set the provider's key variable"):
        ask(make())
    assert (len(server.requests), waits) == (1, [])


def test_a_model_that_does_not_exist_is_not_tried_again(server: ModelServer, waits: list[float]) -> None:
    server.fail(Fault(kind="status", status=404), times=None)

    with pytest.raises(ModelAccessError, match=f"there is no model '{NATIVE}' .* KAIZEN_TIPS_MODEL"):
        ask(make())
    assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize("name", ["nosuchmodel", "nosuchprovider/model"])
def test_a_name_that_litellm_does_not_know_is_an_access_error(waits: list[float], name: str) -> None:
    with pytest.raises(ModelAccessError, match=f"there is no model '{name}'"):
        ask(make(name))
    assert waits == []


@pytest.mark.parametrize(
    "name", [NATIVE, "anthropic/claude-sonnet-4-5", "gemini/gemini-2.0-flash", "azure/some-deployment"]
)
def test_without_a_key_nothing_is_tried_again(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AZURE_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")

    with pytest.raises(ModelAccessError, match="set the provider's key variable"):
        ask(make(name))
    assert waits == []


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(server: ModelServer, waits: list[float], status: int) -> None:
    server.fail(Fault(kind="status", status=status), times=2)

    assert ask(make()).tips == []
    assert len(server.requests) == 3
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 1.5


@pytest.mark.parametrize("kind", ["cut", "malformed"])
def test_a_broken_answer_is_tried_again(server: ModelServer, waits: list[float], kind: Any) -> None:
    server.fail(Fault(kind=kind), times=2)

    assert ask(make()).tips == []
    assert (len(server.requests), len(waits)) == (3, 2)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=429),
        Fault(kind="status", status=500),
        Fault(kind="cut"),
        Fault(kind="malformed"),
        Fault(kind="status", status=200, body="<html>a proxy</html>"),
        Fault(kind="status", status=200, body={}),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_failure_that_stays_is_an_error_after_all_attempts(
    server: ModelServer, waits: list[float], fault: Fault
) -> None:
    server.fail(fault, times=None)

    with pytest.raises(ModelError, match=f"model '{NATIVE}' failed: ") as caught:
        ask(make())
    assert not isinstance(caught.value, ModelAccessError)
    assert (len(server.requests), len(waits)) == (3, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 422])
def test_a_request_that_is_wrong_is_not_tried_again(
    server: ModelServer, waits: list[float], status: int
) -> None:
    server.fail(Fault(kind="status", status=status), times=None)

    with pytest.raises(ModelError, match=f"Scripted failure {status}") as caught:
        ask(make())
    assert not isinstance(caught.value, ModelAccessError)
    assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize(("asked", "waited"), [("0", 0), ("7", 7), ("0.25", 0.25), ("86400", 60)])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for_within_reason(
    server: ModelServer, waits: list[float], status: int, asked: str, waited: float
) -> None:
    server.fail(Fault(kind="status", status=status, headers={"Retry-After": asked}))

    assert ask(make()).tips == []
    assert waits == [waited]


def test_a_model_that_never_answers_is_given_up_after_its_time(
    server: ModelServer, waits: list[float]
) -> None:
    server.fail(Fault(kind="hang"), times=None)

    with pytest.raises(ModelError, match="failed: Timeout"):
        ask(make(timeout_s=0.3, attempts=2))
    assert (len(server.requests), len(waits)) == (2, 1)


def test_a_server_that_is_down_is_an_error(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    with pytest.raises(ModelError, match="Connection error"):
        ask(make())
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_key_that_the_provider_repeats_is_never_shown(
    server: ModelServer, waits: list[float], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    body = {
        "error": {"message": f"Incorrect API key provided: {KEY}.", "type": "x", "code": "invalid_api_key"}
    }
    server.fail(Fault(kind="status", status=status, body=body), times=None)

    with caplog.at_level(logging.DEBUG, logger="kaizen"), pytest.raises(ModelError) as caught:
        ask(make())

    assert "Incorrect API key provided" in str(caught.value)
    assert KEY not in str(caught.value)
    assert not any(KEY in record.getMessage() for record in caplog.records)


def test_the_key_goes_to_the_server_and_no_trace_of_it_into_the_messages(server: ModelServer) -> None:
    ask(make())

    [request] = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(request.body)


def test_usage_of_every_answered_call_is_counted(server: ModelServer, waits: list[float]) -> None:
    meter = Meter()
    model = Model(NATIVE, ModelSettings(attempts=3), meter)
    server.fail(Fault(kind="status", status=500))
    server.fail(Fault(kind="nonsense"))

    ask(model)

    assert len(server.requests) == 3
    assert meter.calls == 2, "the call that failed used nothing"
    assert meter.usage.prompt_tokens > 20
    assert meter.usage.completion_tokens > 5


def test_a_meter_counts_right_from_many_threads() -> None:
    meter = Meter()
    start = threading.Barrier(8)

    def count() -> None:
        start.wait(timeout=10)
        for _ in range(2_000):
            meter.add(Usage(prompt_tokens=2, completion_tokens=1), 0.5)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(count) for _ in range(8)]:
            future.result(timeout=30)

    assert (meter.calls, meter.usage) == (16_000, Usage(prompt_tokens=32_000, completion_tokens=16_000))


def test_one_model_answers_many_threads_at_once(server: ModelServer) -> None:
    model = make()
    server.delay_s = 0.1

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(model), range(16)))

    assert len(found) == model.meter.calls == len(server.requests) == 16


def test_a_provider_named_apart_is_used(server: ModelServer) -> None:
    ask(make("my-own-model", custom_llm_provider="openai"))

    [request] = server.requests
    assert request.body["model"] == "my-own-model"


def test_a_ping_asks_for_one_word(server: ModelServer) -> None:
    answers(server, "ready")

    assert make().ping() == "ready"
    [request] = server.requests
    assert "response_format" not in request.body


def test_its_own_calls_are_in_no_trace(server: ModelServer) -> None:
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    try:
        import_litellm().completion(model=NATIVE, messages=[{"role": "user", "content": "hi"}])
        assert len(spans.get_finished_spans()) == 1
        ask(make())
        make().ping()
        assert len(server.requests) == 3
        assert len(spans.get_finished_spans()) == 1
    finally:
        OpenAIInstrumentor().uninstrument()


def test_each_attempt_is_admitted_and_none_is_made_that_is_not(
    server: ModelServer, waits: list[float]
) -> None:
    admitted: list[int] = []

    @contextmanager
    def admit() -> Iterator[None]:
        if len(admitted) == 2:
            raise ModelAccessError("today's money is spent")
        admitted.append(len(server.requests))
        yield

    server.fail(Fault(kind="status", status=503))
    model = Model(NATIVE, ModelSettings(timeout_s=10, attempts=3), Meter(admit=admit))
    ask(model)
    with pytest.raises(ModelAccessError, match="money is spent"):
        ask(model)
    assert (admitted, len(server.requests)) == ([0, 1], 2)
