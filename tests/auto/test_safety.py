"""Whatever breaks on our side, the agent says what it says without us, and ends as it ends without us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.demo.model_server import ModelServer
from tests.auto.collector import Collector, closed_port
from tests.auto.process import OPENAI, TRACING, WarmPython
from tests.support.slow import only_where_slow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auto.conftest import RunAgent

AGENT = """
import sys
try:
    import kaizen.auto
except ImportError:
    pass
from openai import OpenAI

client = OpenAI()
for question in ("hello", "and again"):
    messages = [{"role": "user", "content": question}]
    print(client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content)
stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
print([chunk.choices[0].delta.content for chunk in stream if chunk.choices])
try:
    OpenAI(base_url="http://127.0.0.1:9/v1", max_retries=0).responses.create(model="gpt-4o", input="hello")
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
"""

DISK_FULL = """
import os, sys, traceback
sys.dont_write_bytecode = True
OURS = ("kaizen", "opentelemetry", "openinference", "phoenix")
def refuse(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and arguments[0] != os.devnull:
        callers = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_stack(None)]
        if any(name.split(".")[0] in OURS for name in callers):
            os.write(2, f"Traceback: {arguments[0]} is opened for writing\\n".encode())
        raise OSError(28, "No space left on device")
sys.addaudithook(refuse)
"""
FULL_STDERR = """
import os
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
"""

# Put in front of the agent: what is broken about its environment.
BROKEN = {
    "the instrumentor is missing": """
import sys
sys.modules["openinference.instrumentation.openai"] = None
""",
    "opentelemetry is missing": """
import sys
for name in ("opentelemetry", *sys.modules):
    if name.split(".")[0] in ("opentelemetry", "openinference", "phoenix"): sys.modules[name] = None
""",
    "the instrumentor exits on import": """
import sys, types
class Broken(types.ModuleType):
    def __getattr__(self, name): raise SystemExit(9)
sys.modules["openinference.instrumentation.openai"] = Broken("broken")
""",
    "the instrumentor raises when it instruments": """
from openinference.instrumentation.openai import OpenAIInstrumentor
def fail(self, **kwargs): raise RuntimeError("broken")
OpenAIInstrumentor._instrument = fail
""",
    "the instrumentor raises on every call": """
import openinference.instrumentation.openai._request as request
def fail(*args, **kwargs): raise RuntimeError("broken")
request._Request.__call__ = fail
""",
    "the instrumentor raises half way": """
import openinference.instrumentation.openai as package
wrap = package.wrap_function_wrapper
def fail(*args, **kwargs): raise RuntimeError("broken")
def wrap_one(module, name, wrapper):
    if name.startswith("Async"): fail()
    type(wrapper).__call__ = fail
    wrap(module, name, wrapper)
package.wrap_function_wrapper = wrap_one
""",
    "the instrumentor raises after every call": """
import openinference.instrumentation.openai._request as request
def fail(*args, **kwargs): raise RuntimeError("broken")
request._finish_tracing = fail
""",
    "the tracer raises on every call": """
from opentelemetry.sdk.trace import Tracer
def fail(*args, **kwargs): raise RuntimeError("broken")
Tracer.start_span = fail
""",
    "span processing raises": """
import kaizen.auto.pipeline.collapse as collapse
def fail(*args, **kwargs): raise RuntimeError("broken")
collapse.scope_of = fail
""",
    "the exporter raises": """
import kaizen.auto.pipeline.export as export
def fail(*args, **kwargs): raise RuntimeError("broken")
export.HttpSender.send = fail
""",
    "there are no threads": """
import threading
def fail(self): raise RuntimeError("can't start new thread")
threading.Thread.start = fail
""",
    "there are no threads for us": """
import threading
start = threading.Thread.start
def fail(self):
    if self.name.startswith("kaizen"): raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = fail
""",
    "the provider cannot be built": """
import openinference.instrumentation as openinference
def fail(*args, **kwargs): raise RuntimeError("broken")
openinference.TracerProvider.__init__ = fail
""",
    "the disk is full": DISK_FULL,
    "stderr cannot be written to": FULL_STDERR,
    "there is no stderr": "import sys; sys.stderr = None\n",
}

NONSENSE = {
    "KAIZEN_TRACING_EXIT_TIMEOUT": "abc",
    "KAIZEN_TRACING_ENDPOINT": "http://[::nonsense",
    "KAIZEN_TRACING_COLLAPSE": "perhaps",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-5",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon",
    "OTEL_RESOURCE_ATTRIBUTES": "a,b=c,=",
    "PHOENIX_CLIENT_HEADERS": "a,b=\n,=c;;",
    "PHOENIX_API_KEY": "\u00fc\n",
    "PHOENIX_GRPC_PORT": "many",
}
SETTINGS = {
    "the settings are nonsense": NONSENSE,
    "nobody listens": {"KAIZEN_TRACING_ENDPOINT": f"http://127.0.0.1:{closed_port()}"},
    "the span limits are nonsense": {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
    "gRPC to a collector that speaks HTTP": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "home is not writable": {"HOME": "/proc/nowhere"},
}
CASES = {name: (source, {}) for name, source in BROKEN.items()}
CASES |= {name: ("", settings) for name, settings in SETTINGS.items()}


@pytest.fixture(scope="module")
def without(warm_python: WarmPython, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the agent says when tracing is off."""
    with ModelServer() as model_server:
        ended = warm_python.run(
            AGENT,
            folder=tmp_path_factory.mktemp("without"),
            collector_url="http://127.0.0.1:9",
            model_url=model_server.base_url,
            enabled=False,
        )
    assert ended.returncode == 3, ended.stderr
    assert len(ended.stdout.splitlines()) == 4
    return ended.stdout


@pytest.mark.parametrize("case", CASES)
def test_the_agent_does_what_it_does_without_us(case: str, run_agent: RunAgent, without: str) -> None:
    source, settings = CASES[case]
    ended = run_agent(source + AGENT, **settings)
    assert (ended.stdout, ended.returncode) == (without, 3), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("status", [401, 413, 500])
def test_so_it_does_when_the_collector_refuses(status: int, run_agent: RunAgent, without: str) -> None:
    with Collector(status=status) as refusing:
        ended = run_agent(AGENT, KAIZEN_TRACING_ENDPOINT=refusing.url)
        assert refusing.attempts > 0
    assert (ended.stdout, ended.returncode) == (without, 3), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert f"answered {status}" in ended.stderr


def test_an_agent_without_the_package_runs(run_agent: RunAgent) -> None:
    ended = run_agent("import sys; sys.modules['kaizen.auto'] = None\n" + AGENT)
    assert ended.returncode == 3


def test_warnings_that_are_errors_are_no_errors_of_the_agent(run_agent: RunAgent) -> None:
    ended = run_agent("import warnings; warnings.simplefilter('error')\n" + AGENT, cold=True)
    assert ended.returncode == 3
    assert len(ended.stdout.splitlines()) == 4
    assert "Traceback" not in ended.stderr


SLOW_AGENTS = {
    "litellm": """
import asyncio, sys
import litellm, kaizen.auto
litellm.suppress_debug_info = True
ask = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
print(litellm.completion(**ask).choices[0].message.content)
stream = litellm.completion(**ask, stream=True, stream_options={"include_usage": True})
print([chunk.choices[0].delta.content for chunk in stream if chunk.choices])
print(asyncio.run(litellm.acompletion(**ask)).choices[0].message.content)
print(len(litellm.embedding(model="openai/text-embedding-3-small", input=["hello"]).data))
try:
    litellm.completion(**ask, api_base="http://127.0.0.1:9/v1", max_retries=0)
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
""",
    "smolagents": """
import sys
import smolagents, kaizen.auto
model = smolagents.OpenAIModel("gpt-4o-mini")

@smolagents.tool
def double(number: int) -> int:
    \"""Double a number.

    Args:
        number: The number.
    \"""
    return 2 * number

agent = smolagents.ToolCallingAgent(tools=[double], model=model, max_steps=2, verbosity_level=0)
print(agent.run("hello"), agent.tools["double"](21))
print([type(step).__name__ for step in agent.run("hello", stream=True)])
message = smolagents.ChatMessage(role="user", content="hello")
print([delta.content for delta in model.generate_stream([message])])
model.client = model.client.with_options(base_url="http://127.0.0.1:9/v1", max_retries=0)
try:
    agent.run("hello")
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
""",
    "openai_agents": """
import asyncio, sys
import agents
# Its own exporter would try to reach OpenAI for a long time.
agents.set_trace_processors([])
import kaizen.auto
from openai import AsyncOpenAI

def own(model, client):
    return agents.Agent(name="agent", model=agents.OpenAIChatCompletionsModel(model, client))

agent = agents.Agent(name="agent", model="gpt-4o-mini")
print(agents.Runner.run_sync(agent, "hello").final_output)

async def streamed():
    result = agents.Runner.run_streamed(own("gpt-4o-mini", AsyncOpenAI()), "hello")
    return [event.type async for event in result.stream_events()]

print(asyncio.run(streamed()))
client = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", max_retries=0)
try:
    agents.Runner.run_sync(own("gpt-4o-mini", client), "hello")
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
""",
}
FAIL = "def fail(*args, **kwargs): raise RuntimeError('broken')\n"
EVERY_CALL = {
    "litellm": """
from openinference.instrumentation.litellm import LiteLLMInstrumentor
for name in ("_completion_wrapper", "_acompletion_wrapper", "_embedding_wrapper"):
    setattr(LiteLLMInstrumentor, name, fail)
""",
    "smolagents": """
import openinference.instrumentation.smolagents._wrappers as wrappers
for name in ("_RunWrapper", "_StepWrapper", "_ModelWrapper", "_ModelStreamWrapper", "_ToolCallWrapper"):
    getattr(wrappers, name).__call__ = fail
""",
    "openai_agents": """
from openinference.instrumentation.openai_agents._processor import OpenInferenceTracingProcessor
for name in ("on_trace_start", "on_trace_end", "on_span_start", "on_span_end", "shutdown", "force_flush"):
    setattr(OpenInferenceTracingProcessor, name, fail)
""",
}
AFTER_EVERY_CALL = {
    "litellm": "import openinference.instrumentation.litellm as litellm\nlitellm._finalize_span = fail\n",
    "smolagents": """
import openinference.instrumentation.smolagents._wrappers as wrappers
wrappers._finish_model_span = fail
""",
    "openai_agents": """
import openinference.instrumentation.openai_agents._processor as processor
processor._get_attributes_from_input = processor._get_span_kind = fail
""",
}
HALF_WAY = {
    "litellm": """
from openinference.instrumentation.litellm import LiteLLMInstrumentor
LiteLLMInstrumentor._completion_wrapper = fail
LiteLLMInstrumentor._instrument_anthropic_messages = fail
""",
    "smolagents": EVERY_CALL["smolagents"]
    + """
import openinference.instrumentation.smolagents as smolagents
smolagents.import_module = fail
""",
    "openai_agents": """
import openinference.instrumentation.openai_agents as agents
agents._patch_tool_execution = fail
""",
}


def faults(framework: str) -> dict[str, str]:
    """What can be broken about the instrumentor of a framework, as source to put in front of the agent."""
    package = f"openinference.instrumentation.{framework}"
    broken = "import sys, types\nclass Broken(types.ModuleType): __getattr__ = fail\n"
    return {
        "nothing": "",
        "its instrumentor raises on import": f"{FAIL}{broken}sys.modules['{package}'] = Broken('')\n",
        "its instrumentor raises when it instruments": (
            f"{FAIL}import {package} as package\n"
            "next(value for name, value in vars(package).items() if name.endswith('Instrumentor')"
            " and name != 'BaseInstrumentor')._instrument = fail\n"
        ),
        "its instrumentor raises half way": FAIL + HALF_WAY[framework],
        "its instrumentor raises on every call": FAIL + EVERY_CALL[framework],
        "its instrumentor raises after every call": FAIL + AFTER_EVERY_CALL[framework],
        "the tracer raises on every call": BROKEN["the tracer raises on every call"],
        "span processing raises": BROKEN["span processing raises"],
        "nothing can be sent, started or written": "".join(BROKEN[name] for name in NO_RESOURCES),
    }


NO_RESOURCES = ("the exporter raises", "there are no threads for us", "the disk is full")


@only_where_slow
@pytest.mark.timeout(300)
def test_so_do_agents_of_the_frameworks_that_are_slow_to_import(
    model_server: ModelServer, collector: Collector, tmp_path: Path
) -> None:
    packages = [f"openinference.instrumentation.{framework}" for framework in SLOW_AGENTS]
    lazy = ("litellm.main", "litellm.litellm_core_utils.default_encoding", "litellm.proxy._types")
    settings = {"folder": tmp_path, "collector_url": collector.url, "model_url": model_server.base_url}
    different = []
    with WarmPython("smolagents", "agents", *lazy, *OPENAI, *TRACING, *packages) as python:
        for framework, agent in SLOW_AGENTS.items():
            without = python.run(agent, **settings, enabled=False)
            assert without.returncode == 3, without.stderr
            for fault, source in faults(framework).items():
                ended = python.run(source + agent, **settings, HOME="/proc/nowhere")
                if (ended.stdout, ended.returncode) != (without.stdout, 3) or "is opened" in ended.stderr:
                    different.append((framework, fault, ended.returncode, ended.stdout, ended.stderr[-2000:]))
                if fault == "nothing":
                    # Each of these agents imports its framework before Kaizen.
                    scopes = {span.scope for span in collector.spans}
                    assert f"openinference.instrumentation.{framework}" in scopes
    assert different == []
