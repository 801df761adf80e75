"""Tips reach the model in every call of a run, the same bytes each time, and nothing of the agent's is changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import ModelServer
from tests.auto.collector import Collector, Span
from tests.auto.process import WarmPython, run_python
from tests.auto.recalling import AGENT, SCENARIOS, beginning, conversation, count, sent
from tests.auto.snapshots import LOOKUP, PACKING, write_snapshot
from tests.support.shared import once_a_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPENAI_AGENT = AGENT + '''
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
        calls = [item for item in answer.output if item.type == "function_call"]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
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
'''
FRAMEWORKS_AGENT = AGENT + '''
import atexit

# The last thing at exit: to take all the modules apart takes longer than the calls.
status = 1
atexit.register(lambda: (kaizen.auto.flush_traces(), sys.stdout.flush(), sys.stderr.flush(), os._exit(status)))
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

from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI

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
    front = Agent(name="front", instructions="Hand over.", model="agents handoff", handoffs=[agent_of("agents handed")])
    await Runner.run(front, TASK)
    assert find_trains.description == book_train.description == "About trains."

asyncio.run(agents())
status = 0
'''


@dataclass(frozen=True)
class Told:
    """What the models of an agent's runs were sent, and the spans of its calls."""

    runs: dict[str, list[dict[str, Any]]]
    spans: list[Span]

    def calls(self, model: str) -> list[Span]:
        return [span for span in self.spans if span.kind == "LLM" and model in str(model_of(span))]


def model_of(span: Span) -> str:
    return str(span.attributes.get("llm.model_name"))


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
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr[-3000:]
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
