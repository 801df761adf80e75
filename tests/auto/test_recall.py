"""Tips reach the model in each call of a run, in the same bytes, and nothing of the agent's is changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import ModelServer
from tests.auto.collector import Collector, Span
from tests.auto.process import run_python
from tests.auto.recalling import AGENT, SCENARIOS, beginning, conversation, count, sent
from tests.auto.snapshots import LOOKUP, PACKING, write_snapshot
from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPENAI_AGENT = (
    AGENT
    + """
from openai import AsyncOpenAI, AzureOpenAI, NotFoundError, OpenAI
from pydantic import BaseModel

class Answer(BaseModel):
    text: str

client = OpenAI()

def create(**ask): return client.chat.completions.create(**ask)
def raw(**ask): return client.chat.completions.with_raw_response.create(**ask).parse()
def parsed(**ask):
    return client.chat.completions.parse(**{**ask, "tools": [strict(one) for one in ask["tools"]]})
def strict(one):
    function = {**one["function"], "strict": True}
    function["parameters"] = {**function["parameters"], "additionalProperties": False}
    return {**one, "function": function}
def streamed(**ask):
    with client.chat.completions.stream(**ask) as stream:
        return stream.get_final_completion()

def chat(model, ask=create, system=SYSTEM, role="system", keep=lambda messages: messages, tools=CHAT_TOOLS):
    messages = messages_of(system, role)
    for _ in range(3):
        with Watch(messages, tools):
            message = ask(model=model, messages=messages, tools=tools).choices[0].message
        answer = message.model_dump(exclude_none=True, exclude={"parsed"})
        messages = keep([*messages, answer, *results_of(message)])

async def achat(model):
    messages, client = messages_of(), AsyncOpenAI()
    for _ in range(3):
        with Watch(messages, CHAT_TOOLS):
            answer = await client.chat.completions.create(model=model, messages=messages, tools=CHAT_TOOLS)
        message = answer.choices[0].message
        # As many agents do: the object itself, and no dictionary.
        messages = [*messages, message, *results_of(message)]

def functions(model):
    messages = messages_of()
    for _ in range(2):
        with Watch(messages, FUNCTIONS):
            client.chat.completions.create(model=model, messages=messages, functions=FUNCTIONS)
        messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]

def responses(model, follow=False, stream=False, **given):
    asked = given.pop("input", [{"role": "user", "content": TASK}])
    for _ in range(3):
        ask = {"model": model, "input": asked, "tools": RESPONSES_TOOLS, **given}
        with Watch(asked, RESPONSES_TOOLS):
            answer = client.responses.create(**ask, stream=stream)
            if stream:
                answer = [event for event in answer if event.type == "response.completed"][-1].response
        ids = [item.call_id for item in answer.output if item.type == "function_call"]
        results = [{"type": "function_call_output", "call_id": id, "output": "done"} for id in ids]
        if follow: given["previous_response_id"], asked = answer.id, results or "thanks"
        else: asked = [*asked, *(item.model_dump(exclude_none=True) for item in answer.output), *results]

chat("chat")
chat("developer", role="developer")
chat("parts", system=[{"type": "text", "text": SYSTEM}])
chat("no system", system=None)
chat("raw", raw)
chat("parsed", lambda **ask: parsed(**ask, response_format=Answer))
chat("stream", streamed)
chat("trimmed", keep=lambda messages: [messages[0], *messages[-2:]])
clock = iter(range(9))
chat("clock", keep=lambda messages: [{**messages[0], "content": f"It is {next(clock)}."}, *messages[1:]])
with agent_run("traced", session_id="a session"):
    chat("traced")
asyncio.run(achat("async"))
functions("functions")
client.chat.completions.create(model="words", messages=messages_of())
client.chat.completions.create(model="title", messages=[{"role": "user", "content": "Say hello."}])
azure = AzureOpenAI(base_url=os.environ["OPENAI_BASE_URL"] + "/azure/", api_version="1", api_key="none")
try: chat("azure", azure.chat.completions.create)
except NotFoundError: pass
responses("responses", instructions=SYSTEM)
responses("responses in the input", input=messages_of(role="developer"))
responses("followed", follow=True, instructions=SYSTEM)
responses("followed stream", follow=True, stream=True, instructions=SYSTEM)
responses("followed in the input", follow=True, input=messages_of(role="developer"))
client.embeddings.create(model="embeddings", input=TASK)
"""
)
FRAMEWORKS_AGENT = (
    AGENT
    + '''
import atexit

# The last thing at exit: to take all the modules apart takes longer than the calls.
status = 1
atexit.register(lambda: (sys.stdout.flush(), sys.stderr.flush(), os._exit(status)))
import litellm
litellm.suppress_debug_info = True

def completion(model, ask=litellm.completion, **given):
    messages = messages_of()
    for _ in range(3):
        with Watch(messages, CHAT_TOOLS):
            answer = ask(model="openai/" + model, messages=messages, tools=CHAT_TOOLS, **given)
            if given.get("stream"): answer = litellm.stream_chunk_builder(list(answer))
        message = answer.choices[0].message
        messages = [*messages, message.model_dump(exclude_none=True), *results_of(message)]

async def acompletion(model):
    messages = messages_of()
    for _ in range(3):
        with Watch(messages, CHAT_TOOLS):
            answer = await litellm.acompletion("openai/" + model, messages, tools=CHAT_TOOLS)
        message = answer.choices[0].message
        # LiteLLM itself changes messages that are its objects.
        messages = [*messages, message.model_dump(exclude_none=True), *results_of(message)]

completion("litellm")
completion("litellm stream", stream=True)
asyncio.run(acompletion("litellm async"))
with agent_run("litellm responses"):
    for _ in range(2):
        litellm.responses(TASK, "openai/litellm responses", instructions=SYSTEM, tools=RESPONSES_TOOLS)

# The wrappers of the tracing are gone then, and are put on again.
kaizen.auto.disable_tracing()
completion("litellm untraced")
kaizen.auto.enable_tracing()
completion("litellm again")

from smolagents import CodeAgent, LiteLLMModel, OpenAIModel, Tool, ToolCallingAgent

def smolagents_tool(given, parameter):
    class Found(Tool):
        name, description = given, "About trains."
        inputs = {parameter: {"type": "string", "description": "What it says."}}
        output_type = "string"
        def forward(self, **_): return "done"
    Found.forward = eval(f"lambda self, {parameter}: 'done'")
    Found.skip_forward_signature_validation = True
    return Found()

TOOLS = [smolagents_tool("find_trains", "day"), smolagents_tool("book_train", "train")]

def smolagents(agent_class, model, **given):
    agent = agent_class(tools=TOOLS, model=model, max_steps=4, verbosity_level=0, **given)
    prompt, described = agent.system_prompt, {name: tool.description for name, tool in agent.tools.items()}
    assert "Booked." in str(agent.run(TASK))
    assert agent.system_prompt == prompt and agent.memory.system_prompt.system_prompt == prompt
    assert described == {name: tool.description for name, tool in agent.tools.items()}

smolagents(ToolCallingAgent, OpenAIModel("smolagents"))
smolagents(ToolCallingAgent, LiteLLMModel("openai/smolagents litellm"))
smolagents(ToolCallingAgent, OpenAIModel("smolagents stream"), stream_outputs=True)
smolagents(CodeAgent, OpenAIModel("smolagents code"))

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from agents.tracing.processors import default_exporter
from openai import AsyncOpenAI
default_exporter().endpoint = os.environ["KAIZEN_TRACING_ENDPOINT"] + "/ingest"

@function_tool
def find_trains(day: str) -> str:
    """About trains."""
    return "done"

@function_tool
def book_train(train: str) -> str:
    """About trains."""
    return "done"

def agent_of(model, **given):
    return Agent(name="booker", instructions=lambda context, agent: SYSTEM, model=model,
                 tools=[find_trains, book_train], **given)

async def agents_streamed(agent):
    result = Runner.run_streamed(agent, TASK)
    async for _ in result.stream_events(): pass

async def agents():
    await Runner.run(agent_of("agents responses"), TASK)
    await agents_streamed(agent_of("agents responses stream"))
    await Runner.run(agent_of(OpenAIChatCompletionsModel("agents chat", AsyncOpenAI())), TASK)
    await agents_streamed(agent_of(OpenAIChatCompletionsModel("agents chat stream", AsyncOpenAI())))
    front = Agent(name="front", model="agents handoff", handoffs=[agent_of("agents handed")])
    await Runner.run(front, TASK)
    assert find_trains.description == book_train.description == "About trains."

asyncio.run(agents())
status = 0
'''
)


@dataclass(frozen=True)
class Told:
    """What the models of an agent's runs were sent, and the spans of its calls."""

    runs: dict[str, list[dict[str, Any]]]
    spans: list[Span]

    def calls(self, model: str) -> list[Span]:
        return [span for span in self.spans if span.kind == "LLM" and model_of(span) == model]


def model_of(span: Span) -> str:
    return str(span.attributes.get("llm.model_name")).removeprefix("openai/")


def run_told(folder: Path, source: str) -> dict[str, Any]:
    with Collector() as collector, ModelServer(scenarios=SCENARIOS) as model_server:
        ended = run_python(
            source,
            folder=folder,
            collector_url=collector.url,
            model_url=model_server.base_url,
            KAIZEN_RECALL_ENABLED="true",
            KAIZEN_RECALL_FROM=str(write_snapshot(folder / "snapshot.json")),
            HOME=str(folder),
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert "aizen" not in ended.stdout
        spans = [asdict(span) for span in collector.spans]
        return {"runs": sent(model_server.requests), "spans": spans, "stderr": ended.stderr}


def told_once(source: str, name: str) -> Callable[..., Told]:
    @pytest.fixture(scope="session", name=name)
    def told(tmp_path_factory: pytest.TempPathFactory, run_directory: Path) -> Told:
        said = once_a_run(
            run_directory / f"{name}.json", lambda: run_told(tmp_path_factory.mktemp(name), source)
        )
        assert said["stderr"] == ""
        return Told(said["runs"], [Span(**span) for span in said["spans"]])

    return told


openai = told_once(OPENAI_AGENT, "openai")
frameworks = told_once(FRAMEWORKS_AGENT, "frameworks")

SHOWN = '["tool-tip@3","word-tip@1"]'

# The runs of both agents by their models, each with the number of its calls.
OPENAI_RUNS = {
    **dict.fromkeys(("chat", "developer", "parts", "no system", "raw", "parsed", "stream"), 3),
    **dict.fromkeys(("trimmed", "clock", "traced", "async"), 3),
    **dict.fromkeys(("responses", "responses in the input", "followed", "followed stream"), 3),
    "functions": 2,
    "azure": 1,
}
FRAMEWORK_RUNS = {
    **dict.fromkeys(("litellm", "litellm stream", "litellm async", "litellm again"), 3),
    **dict.fromkeys(("agents responses", "agents responses stream", "agents chat", "agents chat stream"), 3),
    **dict.fromkeys(("smolagents", "smolagents litellm", "smolagents stream"), 3),
    "litellm responses": 2,
    "agents handed": 2,
}
# Not all of the conversation before is in their calls, or it is another one.
WITHOUT_HISTORY = ("trimmed", "clock", "functions", "followed", "followed stream", "litellm responses")


def check_run(told: Told, model: str, calls: int) -> None:
    """Check that each call was given both tips once, and that it begins as the call before."""
    bodies = told.runs[model]
    assert len(bodies) == calls
    assert [(count(body, LOOKUP), count(body, PACKING)) for body in bodies] == [(1, 1)] * calls
    assert model == "clock" or len({beginning(body) for body in bodies}) == 1
    if model not in WITHOUT_HISTORY:
        for before, after in pairwise(bodies):
            assert conversation(after)[: len(conversation(before))] == conversation(before)


@pytest.mark.parametrize(("model", "calls"), OPENAI_RUNS.items())
def test_every_call_of_a_run_begins_with_the_same_bytes(openai: Told, model: str, calls: int) -> None:
    check_run(openai, model, calls)


@pytest.mark.parametrize(("model", "calls"), FRAMEWORK_RUNS.items())
def test_every_call_of_a_framework_s_run_begins_with_the_same_bytes(
    frameworks: Told, model: str, calls: int
) -> None:
    check_run(frameworks, model, calls)


def test_calls_that_are_not_traced_are_given_tips_too(frameworks: Told) -> None:
    check_run(frameworks, "litellm untraced", 3)
    assert frameworks.calls("litellm untraced") == []


def test_an_agent_that_writes_code_has_the_tips_at_the_end_of_its_instructions(frameworks: Told) -> None:
    first, second = frameworks.runs["smolagents code"]
    assert beginning(first) == beginning(second)
    text = first["messages"][0]["content"][-1]["text"]
    assert text.startswith("<kaizen-tips>")
    assert text.index(LOOKUP) < text.index(PACKING)


def test_tips_stand_where_models_follow_them(openai: Told) -> None:
    body = openai.runs["chat"][0]
    find, book = (tool["function"]["description"] for tool in body["tools"])
    assert find == (
        "About trains.\n\n[kaizen] Learned from earlier runs; check against your task:\n"
        f"- {LOOKUP}\n[/kaizen]"
    )
    assert book == "About trains."
    system, user = body["messages"]
    assert system["content"].startswith("You book trains.\n\n<kaizen-tips>\n")
    assert PACKING in system["content"]
    assert user == {"role": "user", "content": "Book a train with luggage from Basel to Milano."}


def test_runs_with_the_same_tools_and_instructions_begin_with_the_same_bytes(openai: Told) -> None:
    bodies = [openai.runs[model][0] for model in ("chat", "raw", "stream", "trimmed", "traced", "async")]
    assert len({beginning(body) for body in bodies}) == 1


def test_a_message_that_the_api_keeps_is_given_the_block_once(openai: Told) -> None:
    bodies = openai.runs["followed in the input"]
    assert [count(body, PACKING) for body in bodies] == [1, 0, 0]
    assert [count(body, LOOKUP) for body in bodies] == [1, 1, 1]
    assert not any(body.get("instructions") for body in bodies)


def test_calls_that_no_tip_fits_are_left_alone(openai: Told) -> None:
    assert openai.runs["title"] == [
        {"messages": [{"role": "user", "content": "Say hello."}], "model": "title"}
    ]
    assert openai.runs["embeddings"][0]["input"] == "Book a train with luggage from Basel to Milano."
    assert [count(body, PACKING) for body in openai.runs["words"]] == [1]


# The call to Azure fails: its span does not name a model.
@pytest.mark.parametrize("model", [*filter(lambda model: model != "azure", OPENAI_RUNS), *FRAMEWORK_RUNS])
def test_each_call_is_one_span_that_holds_what_was_sent_and_says_which_tips(
    openai: Told, frameworks: Told, model: str
) -> None:
    told = openai if model in OPENAI_RUNS else frameworks
    spans = told.calls(model)
    assert len(spans) == len(told.runs[model])
    for span in spans:
        recorded = span.attributes
        assert recorded["kaizen.recall.shown"] == SHOWN
        assert recorded["kaizen.recall.held_out"] == "[]"
        assert recorded["kaizen.recall.unit"]
        assert len(recorded["kaizen.recall.snapshot"]) == 64
        given = json.dumps([v for k, v in recorded.items() if k.startswith("llm.input_messages.")])
        offered = json.dumps([v for k, v in recorded.items() if k.startswith("llm.tools.")])
        assert PACKING in given
        assert model == "functions" or LOOKUP in offered


def test_other_spans_say_nothing_of_tips(openai: Told, frameworks: Told) -> None:
    spans = [span for span in [*openai.spans, *frameworks.spans] if span.kind not in ("LLM", None)]
    assert not [
        span.name for span in spans if any(name.startswith("kaizen.recall") for name in span.attributes)
    ]


def test_the_unit_is_the_session_and_else_the_trace_and_else_the_run(openai: Told, frameworks: Told) -> None:
    def units(told: Told, model: str) -> set[Any]:
        return {span.attributes["kaizen.recall.unit"] for span in told.calls(model)}

    assert units(openai, "traced") == {"a session"}
    traces = {span.trace_id for span in frameworks.spans if model_of(span) == "agents chat"}
    assert units(frameworks, "agents chat") == traces
    # One task, begun again and again: in no trace, it counts once.
    assert len(units(openai, "chat")) == 1
    assert units(openai, "chat") == units(openai, "trimmed") == units(openai, "clock")
