"""The scripted model server, asked by the clients that people use, and failing in every way it can."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from kaizen.demo.faults import NONSENSE
from kaizen.demo.model_server import Fault, ModelServer, Scenarios, load_scenarios
from kaizen.demo.scenario import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEATHER = Scenarios.from_json(
    {
        "agents": [
            {
                "name": "weather",
                "when": {"user": "weather", "tools": ["forecast"]},
                "steps": [
                    {
                        "text": "I look at both cities.",
                        "tool_calls": [
                            {"name": "forecast", "arguments": {"city": "Bergen"}},
                            {"name": "forecast", "arguments": {"city": "Zürich"}},
                        ],
                    },
                    {"text": "Rain in Bergen, sun in Zürich."},
                ],
            },
            {
                "name": "verdict",
                "when": {"schema": "verdict"},
                "steps": [{"json": {"good": True, "why": "it is sunny"}}],
            },
        ],
        "decisions": [{"pattern": "merge (?P<one>\\d+)", "answer": {"tip": "\\g<one>"}}],
    }
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORECAST = {"type": "function", "function": {"name": "forecast", "parameters": PARAMETERS}}
ASK = [{"role": "user", "content": "How is the weather?"}]


@pytest.fixture
def server(model_server: ModelServer) -> ModelServer:
    model_server.scenarios = WEATHER + load_scenarios()
    return model_server


@pytest.fixture
def client(server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def _ask(client: openai.OpenAI, text: str = "Hello", **more: Any) -> str | None:
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.create(model="gpt-4o", messages=messages, **more)
    return answer.choices[0].message.content


def _schema(name: str) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": {"type": "object"}}}


def test_chat_calls_tools_in_parallel_and_then_answers(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="gpt-4o", messages=ASK, tools=[FORECAST])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content == "I look at both cities."
    cities = [json.loads(call.function.arguments)["city"] for call in message.tool_calls]
    assert cities == ["Bergen", "Zürich"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in message.tool_calls]
    history = [*ASK, message.model_dump(exclude_none=True), *results]
    second = client.chat.completions.create(model="gpt-4o", messages=history, tools=[FORECAST])
    assert second.choices[0].message.content == "Rain in Bergen, sun in Zürich."
    assert second.choices[0].finish_reason == "stop"
    assert second.usage.prompt_tokens > first.usage.prompt_tokens > 0
    assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens


def test_a_streamed_chat_adds_up_to_the_plain_one(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="gpt-4o", messages=ASK, tools=[FORECAST])
    options = {"include_usage": True}
    with client.chat.completions.stream(
        model="gpt-4o", messages=ASK, tools=[FORECAST], stream_options=options
    ) as stream:
        streamed = stream.get_final_completion()
    said, expected = streamed.choices[0].message, plain.choices[0].message
    assert said.content == expected.content
    names = [(call.function.name, call.function.arguments) for call in said.tool_calls]
    assert names == [(call.function.name, call.function.arguments) for call in expected.tool_calls]
    assert streamed.usage.total_tokens == plain.usage.total_tokens


def test_a_stream_tells_usage_only_when_asked(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_responses_call_functions_and_go_on_from_the_items(client: openai.OpenAI) -> None:
    tool = {"type": "function", "name": "forecast", "parameters": PARAMETERS, "strict": False}
    first = client.responses.create(model="gpt-4o", input=ASK, tools=[tool])
    assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
    calls = first.output[1:]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "ok"} for call in calls]
    items = [*ASK, *(item.model_dump(exclude_none=True) for item in first.output), *results]
    again = client.responses.create(model="gpt-4o", input=items, tools=[tool])
    assert again.output_text == "Rain in Bergen, sun in Zürich."
    delta = client.responses.create(
        model="gpt-4o", input=results, tools=[tool], previous_response_id=first.id
    )
    assert delta.output_text == again.output_text
    assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens


def test_a_streamed_response_adds_up_to_the_plain_one(client: openai.OpenAI) -> None:
    tool = {"type": "function", "name": "forecast", "parameters": PARAMETERS, "strict": False}
    with client.responses.stream(model="gpt-4o", input=ASK, tools=[tool]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    plain = client.responses.create(model="gpt-4o", input=ASK, tools=[tool])
    assert [item.type for item in final.output] == [item.type for item in plain.output]
    assert final.output[1].arguments == plain.output[1].arguments
    assert final.output_text == plain.output_text == "I look at both cities."
    assert [event.sequence_number for event in events] == sorted(event.sequence_number for event in events)


def test_json_is_answered_by_the_name_of_its_schema(client: openai.OpenAI) -> None:
    assert json.loads(_ask(client, response_format=_schema("verdict"))) == {
        "good": True,
        "why": "it is sunny",
    }
    form = {"type": "json_schema", "name": "verdict", "schema": {"type": "object"}}
    answer = client.responses.create(model="gpt-4o", input="Well?", text={"format": form})
    assert json.loads(answer.output_text)["good"] is True


def test_a_schema_without_a_scenario_is_refused_by_its_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="No scenario answers the JSON schema 'other'"):
        _ask(client, response_format=_schema("other"))


@pytest.mark.parametrize("fallback", [False, True])
def test_each_lesson_in_a_prompt_becomes_one_tip(client: openai.OpenAI, fallback: bool) -> None:
    prompt = "LESSON-alpha, then LESSON-beta_2 (LESSON-alpha again)" + (" kaizen_tips" if fallback else "")
    form = {} if fallback else {"response_format": _schema("kaizen_tips")}
    tips = json.loads(_ask(client, prompt, **form))["tips"]
    assert [(tip["content"], tip["quote"]) for tip in tips] == [
        ("Remember alpha.", "LESSON-alpha"),
        ("Remember beta_2.", "LESSON-beta_2"),
    ]


def test_a_prompt_without_a_lesson_gets_no_tips(client: openai.OpenAI) -> None:
    assert json.loads(_ask(client, response_format=_schema("kaizen_tips"))) == {"tips": []}


def test_reconcile_decides_by_rule_and_otherwise_nothing(client: openai.OpenAI) -> None:
    form = _schema("kaizen_reconcile")
    assert json.loads(_ask(client, "merge 3", response_format=form)) == {"decisions": [{"tip": "3"}]}
    assert json.loads(_ask(client, "anything", response_format=form)) == {"decisions": []}


def test_an_agent_that_talks_about_tips_is_still_an_agent(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "How is the weather in kaizen_tips?"}]
    answer = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[FORECAST])
    assert answer.choices[0].message.tool_calls


def test_embeddings_are_the_same_in_both_encodings_and_near_for_shared_words(client: openai.OpenAI) -> None:
    texts = ["dates are in ISO format", "dates use ISO format", "purple elephants"]
    floats = client.embeddings.create(model="e", input=texts, encoding_format="float")
    encoded = client.embeddings.create(model="e", input=texts, encoding_format="base64")
    one, two, far = (item.embedding for item in floats.data)
    packed = base64.b64decode(encoded.data[0].embedding)
    assert list(struct.unpack(f"<{len(one)}f", packed)) == pytest.approx(one, abs=1e-6)
    near = sum(a * b for a, b in zip(one, two, strict=True))
    assert near > 0.5 > sum(a * b for a, b in zip(one, far, strict=True))
    assert client.embeddings.create(model="e", input="x", dimensions=8).data[0].embedding[:8]


def test_a_step_is_due_once_its_text_is_seen_whatever_was_said_before(
    client: openai.OpenAI, server: ModelServer
) -> None:
    steps = [{"text": "One."}, {"text": "Two.", "after": "too heavy"}, {"text": "Three."}]
    server.scenarios = Scenarios.from_json({"agents": [{"name": "n", "when": {}, "steps": steps}]})
    assert _ask(client, "Quote it") == "One."
    assert _ask(client, "Quote it. Error: too heavy") == "Two."


@pytest.mark.parametrize("told", ["Drain it first.", "Be careful."])
@pytest.mark.parametrize("where", ["system", "tool"])
def test_a_mistake_is_not_made_by_a_model_that_is_told_better(
    client: openai.OpenAI, server: ModelServer, told: str, where: str
) -> None:
    steps = [{"text": "Wrong.", "unless_told": "first"}, {"text": "Right."}]
    server.scenarios = Scenarios.from_json({"agents": [{"name": "n", "when": {}, "steps": steps}]})
    tool = {"name": "restart", "description": told if where == "tool" else "", "parameters": PARAMETERS}
    system = told if where == "system" else "-"
    answer = client.chat.completions.create(
        model="m",
        messages=[{"role": "system", "content": system}, {"role": "user", "content": "Go."}],
        tools=[{"type": "function", "function": tool}],
    )
    response = client.responses.create(
        model="m", input="Go.", instructions=system, tools=[{"type": "function", **tool}]
    )
    expected = "Right." if "first" in told else "Wrong."
    assert [answer.choices[0].message.content, response.output_text] == [expected, expected]


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["kaizen-scripted"]


def test_litellm_talks_to_it(server: ModelServer) -> None:
    import litellm

    asked = {"model": "openai/gpt-4o", "api_base": server.base_url, "api_key": "none"}
    answer = litellm.completion(messages=ASK, tools=[FORECAST], **asked)
    assert len(answer.choices[0].message.tool_calls) == 2
    chunks = list(litellm.completion(messages=ASK, tools=[FORECAST], stream=True, **asked))
    assert litellm.stream_chunk_builder(chunks).choices[0].message.content == "I look at both cities."


def test_the_same_request_gets_the_same_bytes(server: ModelServer) -> None:
    asked = {"model": "m", "messages": ASK}
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda _: _post(server, asked).content, range(64))
        assert len(set(answers)) == 1
    assert len(server.requests) == 64


def test_requests_are_recorded_until_cleared(client: openai.OpenAI, server: ModelServer) -> None:
    before = time.monotonic()
    _ask(client, "Hello", response_format=_schema("kaizen_tips"))
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body["messages"][0]["content"] == "Hello"
    assert request.headers["authorization"] == "Bearer none"
    assert request.schema_name == "kaizen_tips"
    assert before <= request.at <= time.monotonic()
    server.clear()
    assert server.requests == []


def test_bad_requests_get_errors_in_openais_format(server: ModelServer) -> None:
    unknown = httpx.get(f"{server.base_url}/nothing", trust_env=False)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url")
    for content in (b"{", b"[]", b"{}", b'{"messages": [1]}'):
        refused = httpx.post(f"{server.base_url}/chat/completions", content=content, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_rate_limit_ends_after_the_told_number_of_requests(
    client: openai.OpenAI, server: ModelServer
) -> None:
    server.fail(Fault(kind="status", status=429, headers={"Retry-After": "7"}), times=2)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError) as caught:
            _ask(client)
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.type == "rate_limit_error"
    assert _ask(client)


def test_a_fault_without_an_end_lasts_until_healed(client: openai.OpenAI, server: ModelServer) -> None:
    server.fail(Fault(kind="status", status=503, body={"error": {"message": "busy"}}), times=None)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError, match="busy"):
            _ask(client)
    server.heal()
    assert _ask(client)


def test_a_fault_is_only_for_the_requests_it_names(client: openai.OpenAI, server: ModelServer) -> None:
    server.fail(Fault(kind="status", path="/embeddings"))
    server.fail(Fault(kind="status", schema="kaizen_tips", contains="LESSON-x"))
    assert _ask(client)
    assert _ask(client, "LESSON-y", response_format=_schema("kaizen_tips"))
    with pytest.raises(openai.InternalServerError):
        _ask(client, "LESSON-x", response_format=_schema("kaizen_tips"))
    with pytest.raises(openai.InternalServerError):
        client.embeddings.create(model="e", input="x")


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_connection_ends_in_the_middle_of_the_answer(server: ModelServer, stream: bool) -> None:
    server.fail(Fault(kind="cut"))
    with pytest.raises(httpx.RemoteProtocolError):
        _post(server, {"model": "m", "messages": ASK, "stream": stream})


def test_malformed_json_comes_with_status_200(server: ModelServer) -> None:
    server.fail(Fault(kind="malformed"))
    answer = _post(server, {"model": "m", "messages": ASK})
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_nonsense_and_nothing_are_well_formed(client: openai.OpenAI, server: ModelServer) -> None:
    server.fail(Fault(kind="nonsense"))
    server.fail(Fault(kind="empty"))
    assert _ask(client, response_format=_schema("kaizen_tips")) == NONSENSE
    assert _ask(client, response_format=_schema("kaizen_tips")) == ""


def test_a_hanging_answer_never_comes(client: openai.OpenAI, server: ModelServer) -> None:
    server.fail(Fault(kind="hang"))
    with pytest.raises(openai.APITimeoutError):
        _ask(client.with_options(timeout=0.3))
    assert _ask(client)


def test_an_answer_may_be_given_whole(client: openai.OpenAI, server: ModelServer) -> None:
    server.fail(Fault(kind="answer", message={"refusal": "No."}, finish_reason="content_filter"))
    given = client.chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]
    assert (given.choices[0].message.refusal, given.choices[0].finish_reason) == ("No.", "content_filter")
    assert _ask(client)


def test_a_dripping_answer_comes_a_byte_at_a_time(server: ModelServer) -> None:
    server.fail(Fault(kind="drip", delay_s=0.01))
    started = time.monotonic()
    given = _post(server, {"model": "m", "messages": ASK})
    assert given.json()["choices"]
    assert time.monotonic() - started > 0.01 * (len(given.content) - 1)


def test_a_fault_may_be_for_long_requests_only(server: ModelServer) -> None:
    server.fail(Fault(kind="status", status=413, min_chars=1_000), times=None)
    long = [{"role": "user", "content": "x" * 1_000}]
    assert _post(server, {"model": "m", "messages": ASK}).status_code == 200
    assert _post(server, {"model": "m", "messages": long}).status_code == 413


def test_stopping_ends_hanging_requests_and_idle_connections(server: ModelServer) -> None:
    server.fail(Fault(kind="hang", path="/chat/completions"))
    with httpx.Client(base_url=server.base_url, trust_env=False, timeout=20) as idle:
        assert idle.get("/models").status_code == 200
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(_post, server, {"model": "m", "messages": ASK})
            deadline = time.monotonic() + 10
            while len(server.requests) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            server.stop()
            with pytest.raises(httpx.TransportError):
                hanging.result(timeout=10)
        with pytest.raises(httpx.TransportError):
            idle.get("/models")


def test_answers_take_the_delay_and_overlap(server: ModelServer) -> None:
    server.delay_s = 0.3
    server.fail(Fault(kind="slow", delay_s=0.3))

    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            url, asked = f"{server.base_url}/chat/completions", {"model": "m", "messages": ASK}
            answers = await asyncio.gather(*(client.post(url, json=asked) for _ in range(20)))
            return [answer.status_code for answer in answers]

    started = time.monotonic()
    assert asyncio.run(ask_all()) == [200] * 20
    assert 0.6 <= time.monotonic() - started < 5


def test_it_runs_as_a_process_that_records_what_it_is_asked(tmp_path: Path) -> None:
    record, scenarios = tmp_path / "asked.jsonl", tmp_path / "scenarios.json"
    scenarios.write_text(json.dumps({"agents": [{"name": "hi", "when": {}, "steps": [{"text": "Hi."}]}]}))
    command = [sys.executable, "-m", "kaizen.demo.model_server", "--delay", "0.1"]
    command += ["--record", str(record), "--scenarios", str(scenarios)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            base_url = process.stdout.readline().strip()
            asked = {"model": "m", "messages": ASK}
            answer = httpx.post(f"{base_url}/chat/completions", json=asked, trust_env=False)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert answer.json()["choices"][0]["message"]["content"] == "Hi."
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["body"] == asked


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "Expecting property name"),
        ('{"agent": []}', "unknown keys"),
        ('{"agents": [{"when": {}, "steps": [{"text": ""}]}]}', "'name' is missing"),
        ('{"agents": [{"name": "a", "when": {}, "steps": []}]}', "has no steps"),
        ('{"agents": [{"name": "a", "when": {"usr": ""}, "steps": [{}]}]}', "usr"),
        ('{"tips": [{"pattern": "(", "answer": {}}]}', "unterminated subpattern"),
    ],
)
def test_a_wrong_scenario_file_is_named_with_what_is_wrong(
    tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(content)
    with pytest.raises(ScenarioError, match=rf"wrong\.json: .*{complaint}"):
        load_scenarios(file)


def _post(server: ModelServer, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        f"{server.base_url}/chat/completions", json=body, trust_env=False, verify=False, timeout=20
    )
