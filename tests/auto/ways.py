"""Every way to make a call: what the agent does, and how the span of the call has to end.

Sources are written once for the sync and the async client: `AWAIT` and `ASYNC` stand for nothing or for
`await` and `async`.
"""

from __future__ import annotations

from typing import NamedTuple

OK, LEFT, ERROR = "OK", "UNSET", "ERROR"
WHOLE, PART, NOTHING = "whole", "part", "nothing"


class Way:
    """One way to make a call.

    :param source: what the agent does.
    :param how: how the server answers; see `dripping`.
    :param status: how the span has to end.
    :param output: how much of the answer it has to have.
    :param only: `sync` or `async` where the other one has no such way.
    :param collected: whether the call may stay open until Python collects garbage.
    """

    def __init__(
        self,
        source: str,
        how: str = "",
        *,
        status: str = OK,
        output: str | None = None,
        only: str = "",
        collected: bool = False,
    ) -> None:
        self.source = source
        self.how = how
        self.status = status
        self.output = output if output is not None else WHOLE if status == OK else NOTHING
        self.only = only
        self.collected = collected


class Call(NamedTuple):
    """One line of the table as it is run."""

    source: str
    how: str
    is_async: bool
    way: Way


SETUP = """
import asyncio, json, openai
from pydantic import BaseModel

class Answer(BaseModel):
    answer: int
"""
ASKS = {
    "chat.completions": "ask = {'model': 'gpt-4o', 'messages': [{'role': 'user', 'content': 'hello'}]}\n",
    "responses": "ask = {'model': 'gpt-4o-mini', 'input': 'hello'}\n",
    "completions": "ask = {'model': 'gpt-3.5-turbo-instruct', 'prompt': 'hello'}\n",
    "embeddings": "ask = {'model': 'text-embedding-3-small', 'input': 'hello'}\n",
}

CREATED = {
    "read": Way("saw(AWAIT api.create(**ask))"),
    "compressed": Way("saw(AWAIT api.create(**ask))", "gzip"),
    "read with half a character": Way("saw(AWAIT api.create(**ask))", "surrogate"),
    "failed": Way("AWAIT api.create(**ask)", "fail", status=ERROR),
    "cut": Way("AWAIT api.create(**ask)", "cut", status=ERROR),
    "timed out": Way("AWAIT api.create(**ask)", "hang", status=ERROR),
    "nobody listens": Way(
        "AWAIT type(api)(client.with_options(base_url='http://127.0.0.1:9/v1')).create(**ask)", status=ERROR
    ),
    "cancelled": Way(
        """
task = asyncio.create_task(api.create(**ask, timeout=30))
await asyncio.sleep(0.5)
task.cancel()
await task
""",
        "hang",
        status=ERROR,
        only="async",
    ),
}
RAW = {
    "parsed": Way(
        "response = AWAIT api.with_raw_response.create(**ask)\n"
        "saw(response, response.status_code, response.http_response, response.parse(), response.parse())"
    ),
    "read by hand": Way(
        "response = AWAIT api.with_raw_response.create(**ask)\n"
        "saw(response.text, response.content, list(response.http_response.iter_bytes()))\n"
        "saw(response._parsed_by_type == {})"
    ),
    "compressed": Way("saw((AWAIT api.with_raw_response.create(**ask)).parse())", "gzip"),
    "not read": Way("saw((AWAIT api.with_raw_response.create(**ask)).status_code)"),
    "failed": Way("AWAIT api.with_raw_response.create(**ask)", "fail", status=ERROR),
    "timed out": Way("AWAIT api.with_raw_response.create(**ask)", "hang", status=ERROR),
}
WITH = "ASYNC with api.with_streaming_response.create(**ask) as response:\n"
# What is read after go() is sent after it: who waits for the whole before, waits until the gate gives up.
ENTERED = WITH + "    go()\n    saw(response, response.status_code, response.http_response.is_closed)\n"
STREAMING = {
    "parsed": Way(ENTERED + "    saw(AWAIT response.parse(), gate())", "gate"),
    "read": Way(ENTERED + "    saw(AWAIT response.read(), AWAIT response.text(), gate())", "gate"),
    "read as JSON": Way(ENTERED + "    saw(AWAIT response.json(), gate())", "gate"),
    "read as pieces": Way(
        WITH
        + """
    pieces = []
    ASYNC for piece in response.iter_bytes():
        pieces.append(piece)
        go()
    saw(b"".join(pieces), len(pieces) > 1, gate())
""",
        "gate",
    ),
    "read as text": Way(
        ENTERED + "    saw(''.join([piece ASYNC for piece in response.iter_text()]), gate())", "gate"
    ),
    "read as lines": Way(ENTERED + "    saw([line ASYNC for line in response.iter_lines()], gate())", "gate"),
    "read raw": Way(
        ENTERED
        + "    pieces = [piece ASYNC for piece in response.http_response.A_iter_raw()]\n"
        + "    saw(b''.join(pieces), response.http_response.num_bytes_downloaded, gate())",
        "gate",
    ),
    "read in pieces of a size": Way(
        ENTERED + "    saw([piece ASYNC for piece in response.iter_bytes(chunk_size=7)])", "gate"
    ),
    "compressed": Way(ENTERED + "    saw(AWAIT response.text())", "gzip gate"),
    "not read": Way(ENTERED, "gate", status=LEFT),
    "read in part": Way(
        WITH + "    ASYNC for piece in response.iter_bytes():\n        break\n    go()", "gate", status=LEFT
    ),
    "failed": Way(WITH + "    pass", "fail", status=ERROR),
    "cut": Way(WITH + "    AWAIT response.read()", "cut", status=ERROR),
    "timed out before": Way(WITH + "    pass", "hang", status=ERROR),
    "timed out": Way(WITH + "    AWAIT response.read()", "stall", status=ERROR),
    "left by an exception": Way(ENTERED + "    raise ValueError('mine')", "gate", status=ERROR),
    "read twice": Way(
        WITH
        + "    go()\n"
        + "    ASYNC for piece in response.iter_bytes(): pass\n"
        + "    ASYNC for piece in response.http_response.A_iter_raw():\n        pass",
        "gate",
    ),
    "cancelled": Way(
        """
async def read():
    async with api.with_streaming_response.create(**ask, timeout=30) as response:
        await response.read()
task = asyncio.create_task(read())
await asyncio.sleep(0.5)
task.cancel()
await task
""",
        "stall",
        status=ERROR,
        only="async",
    ),
}
STREAM = "stream = AWAIT api.create(**ask, stream=True)\n"
SOME = "ASYNC for event in stream:\n    saw(event)\n    if COUNT == 4: break\n"
CANCELLED = """
async def read():
    {}
task = asyncio.create_task(read())
await asyncio.sleep(0.5)
task.cancel()
await task
"""
STREAMED = {
    "read": Way(
        STREAM
        + "go()\nsaw(isinstance(stream, openai.A_Stream))\n"
        + "ASYNC for event in stream: saw(event)\nsaw(gate())",
        "gate",
    ),
    "read one by one": Way(
        STREAM + "saw(AWAIT A_next(stream))\ngo()\nASYNC for event in stream: saw(event)\nsaw(gate())", "gate"
    ),
    "read in a block": Way(
        STREAM + "ASYNC with stream as events:\n    ASYNC for event in events: saw(event)"
    ),
    "compressed": Way(STREAM + "ASYNC for event in stream: saw(event)", "gzip"),
    "left by break": Way(STREAM + SOME + "go()", "", status=LEFT, output=PART),
    "left by leaving the block": Way(
        STREAM
        + "ASYNC with stream:\n    ASYNC for event in stream:\n"
        + "        saw(event)\n        if COUNT == 4: break",
        status=LEFT,
        output=PART,
    ),
    "left by closing": Way(STREAM + SOME + "AWAIT stream.close()", status=LEFT, output=PART),
    "left by dropping it": Way(STREAM + "del stream", status=LEFT),
    "left by closing its response": Way(
        STREAM + SOME + "AWAIT stream.response.A_close()", status=LEFT, output=PART
    ),
    "left by an exception": Way(
        STREAM
        + "ASYNC with stream:\n    ASYNC for event in stream:\n"
        + "        if COUNT == 4: raise ValueError('mine')",
        status=ERROR,
        output=PART,
    ),
    "read while another exception is handled": Way(
        "try:\n    raise KeyError\nexcept KeyError:\n"
        "    stream = AWAIT api.create(**ask, stream=True)\n"
        "    ASYNC for event in stream:\n        if COUNT == 4: break\n    AWAIT stream.close()",
        status=LEFT,
        output=PART,
    ),
    "failed": Way(STREAM, "fail", status=ERROR),
    "cut": Way(STREAM + "ASYNC for event in stream: saw(event)", "cut", status=ERROR, output=PART),
    "timed out before": Way(STREAM, "hang", status=ERROR),
    "timed out": Way(STREAM + "ASYNC for event in stream: saw(event)", "stall", status=ERROR, output=PART),
    "cancelled": Way(
        CANCELLED.format("async for event in await api.create(**ask, stream=True, timeout=30): saw(event)"),
        "stall",
        status=ERROR,
        output=PART,
        only="async",
    ),
}
ERROR_EVENT = {
    "told of an error": Way(
        STREAM + "ASYNC for event in stream: saw(event)", "error", status=ERROR, output=PART
    )
}
RAW_STREAM = "response = AWAIT api.with_raw_response.create(**ask, stream=True)\nsaw(response)\n"
RAW_STREAMED = {
    "parsed and read": Way(
        RAW_STREAM + "go()\nstream = response.parse()\nASYNC for event in stream: saw(event)\nsaw(gate())",
        "gate",
    ),
    "parsed and left by break": Way(
        RAW_STREAM + "stream = response.parse()\n" + SOME, status=LEFT, output=PART, collected=True
    ),
    "parsed and closed": Way(
        RAW_STREAM + "stream = response.parse()\n" + SOME + "AWAIT stream.close()", status=LEFT, output=PART
    ),
    "parsed and told of a cut": Way(
        RAW_STREAM + "ASYNC for event in response.parse(): saw(event)", "cut", status=ERROR, output=PART
    ),
    "read by hand": Way(
        RAW_STREAM + "go()\nsaw([line ASYNC for line in response.http_response.A_iter_lines()], gate())",
        "gate",
    ),
    "read by hand in part": Way(
        RAW_STREAM
        + "ASYNC for line in response.http_response.A_iter_lines():\n    if '\"The ' in line: break\n"
        + "AWAIT response.http_response.A_close()",
        status=LEFT,
        output=PART,
    ),
    "closed": Way(RAW_STREAM + "AWAIT response.http_response.A_close()", status=LEFT),
    "dropped": Way(RAW_STREAM + "del response", status=LEFT, collected=True),
}
WITH_STREAM = (
    "ASYNC with api.with_streaming_response.create(**ask, stream=True) as response:\n"
    "    saw(response)\n    go()\n"
)
STREAMING_STREAMED = {
    "parsed and read": Way(
        WITH_STREAM
        + "    stream = AWAIT response.parse()\n    ASYNC for event in stream: saw(event)\n    saw(gate())",
        "gate",
    ),
    "parsed and left by break": Way(
        WITH_STREAM
        + "    stream = AWAIT response.parse()\n    ASYNC for event in stream:\n        if COUNT == 4: break",
        status=LEFT,
        output=PART,
    ),
    "read as lines": Way(
        WITH_STREAM + "    saw([line ASYNC for line in response.iter_lines()], gate())", "gate"
    ),
    "not read": Way(WITH_STREAM, "gate", status=LEFT),
    "left by an exception": Way(WITH_STREAM + "    raise ValueError('mine')", "gate", status=ERROR),
    "timed out": Way(
        WITH_STREAM + "    ASYNC for event in AWAIT response.parse(): saw(event)",
        "stall",
        status=ERROR,
        output=PART,
    ),
}
HELPER = "ASYNC with api.stream(**ask) as stream:\n"
HELPED = {
    "read": Way(HELPER + "    go()\n    ASYNC for event in stream: saw(event.type)\n    saw(gate())", "gate"),
    "left early": Way(
        HELPER + "    ASYNC for event in stream:\n        saw(event.type)\n        if COUNT == 6: break",
        status=LEFT,
        output=PART,
    ),
    "not read": Way(HELPER + "    saw(stream)", status=LEFT),
    "left by an exception": Way(
        HELPER + "    ASYNC for event in stream:\n        if COUNT == 6: raise ValueError('mine')",
        status=ERROR,
        output=PART,
    ),
    "failed": Way(HELPER + "    pass", "fail", status=ERROR),
    "cut": Way(HELPER + "    ASYNC for event in stream: saw(event.type)", "cut", status=ERROR, output=PART),
    "timed out": Way(
        HELPER + "    ASYNC for event in stream: saw(event.type)", "stall", status=ERROR, output=PART
    ),
    "cancelled": Way(
        CANCELLED.format(
            "\n    async with api.stream(**ask, timeout=30) as stream:\n"
            "        async for event in stream: saw(event.type)"
        ),
        "stall",
        status=ERROR,
        output=PART,
        only="async",
    ),
}
CHAT_HELPED = HELPED | {
    "waited for": Way(HELPER + "    saw(AWAIT stream.get_final_completion())", "json"),
}
RESPONSES_HELPED = HELPED | {
    "waited for": Way(HELPER + "    saw(AWAIT stream.get_final_response())", "json"),
}
CHAT_PARSED = {
    "parsed": Way("saw(AWAIT api.parse(**ask, response_format=Answer))", "json"),
    "parsed, raw": Way(
        "response = AWAIT api.with_raw_response.parse(**ask, response_format=Answer)\n"
        "saw(response, response.parse())",
        "json",
    ),
    "not parsed": Way("AWAIT api.parse(**ask, response_format=Answer)", status=ERROR),
    "failed": Way("AWAIT api.parse(**ask, response_format=Answer)", "fail", status=ERROR),
}
RESPONSES_PARSED = {
    "parsed": Way("saw(AWAIT api.parse(**ask, text_format=Answer))", "json"),
    "failed": Way("AWAIT api.parse(**ask, text_format=Answer)", "fail", status=ERROR),
}
OPENAI: dict[str, dict[str, dict[str, Way]]] = {
    "chat.completions": {
        "create": CREATED,
        "raw": RAW,
        "streaming": STREAMING,
        "streamed": STREAMED | ERROR_EVENT,
        "raw, streamed": RAW_STREAMED,
        "streaming, streamed": STREAMING_STREAMED,
        "helper": CHAT_HELPED,
        "parse": CHAT_PARSED,
    },
    "responses": {
        "create": CREATED,
        "raw": RAW,
        "streaming": STREAMING,
        "streamed": STREAMED,
        "raw, streamed": RAW_STREAMED,
        "streaming, streamed": STREAMING_STREAMED,
        "helper": RESPONSES_HELPED,
        "parse": RESPONSES_PARSED,
    },
    "completions": {
        "create": CREATED,
        "raw": RAW,
        "streaming": STREAMING,
        "streamed": STREAMED | ERROR_EVENT,
    },
    "embeddings": {"create": CREATED, "raw": RAW, "streaming": STREAMING},
}


LITELLM_SETUP = """
import asyncio, litellm, openai
litellm.suppress_debug_info = True
"""
LITELLM_ASK = """
ask = {'model': 'openai/gpt-4o-mini', 'messages': [{'role': 'user', 'content': 'hello'}]}
ask |= {'extra_headers': how, 'max_retries': 0, 'timeout': TIMEOUT}
"""
# One that LiteLLM calls itself, without the OpenAI SDK below.
OTHER_PROVIDER = (
    "ask |= {'model': 'hosted_vllm/gpt-4o', 'api_base': str(openai.OpenAI().base_url).rstrip('/')}\n"
)
LITELLM_STREAM = "stream = AWAIT litellm.A_completion(**ask, stream=True)\n"
LITELLM_SOME = (
    "ASYNC for event in stream:\n    saw(event.choices[0].delta.content)\n    if COUNT == 3: break\n"
)
LITELLM_ALL = "ASYNC for event in stream: saw(event.choices[0].delta.content)\n"
LITELLM = {
    "read": Way("saw((AWAIT litellm.A_completion(**ask)).choices[0].message.content)"),
    "read with half a character": Way(
        "saw((AWAIT litellm.A_completion(**ask)).choices[0].message.content)", "surrogate"
    ),
    "failed": Way("AWAIT litellm.A_completion(**ask)", "fail", status=ERROR),
    "timed out": Way("AWAIT litellm.A_completion(**ask)", "hang", status=ERROR),
    "cancelled": Way(
        CANCELLED.format("await litellm.acompletion(**ask | {'timeout': 60})"),
        "hang",
        status=ERROR,
        only="async",
    ),
    "streamed: read": Way(LITELLM_STREAM + LITELLM_ALL),
    "streamed: left by break": Way(LITELLM_STREAM + LITELLM_SOME, status=LEFT, output=PART, collected=True),
    "streamed: left by dropping it": Way(LITELLM_STREAM + "del stream", status=LEFT, collected=True),
    "streamed: failed": Way(LITELLM_STREAM, "fail", status=ERROR),
    "streamed: cut": Way(LITELLM_STREAM + LITELLM_ALL, "cut", status=ERROR, output=PART),
    "streamed: timed out": Way(LITELLM_STREAM + LITELLM_ALL, "stall", status=ERROR, output=PART),
    "streamed: cancelled": Way(
        CANCELLED.format(
            "\n    stream = await litellm.acompletion(**ask | {'timeout': 60}, stream=True)\n"
            "    async for event in stream: saw(event.choices[0].delta.content)"
        ),
        "stall",
        status=ERROR,
        output=PART,
        only="async",
    ),
    "of another provider: cancelled": Way(
        OTHER_PROVIDER + CANCELLED.format("await litellm.acompletion(**ask | {'timeout': 60})"),
        "hang",
        status=ERROR,
        only="async",
    ),
    "of another provider, streamed: read": Way(OTHER_PROVIDER + LITELLM_STREAM + LITELLM_ALL),
    "of another provider, streamed: cancelled": Way(
        OTHER_PROVIDER
        + CANCELLED.format(
            "\n    stream = await litellm.acompletion(**ask | {'timeout': 60}, stream=True)\n"
            "    async for event in stream: saw(event.choices[0].delta.content)"
        ),
        "stall",
        status=ERROR,
        output=PART,
        only="async",
    ),
    "embedded": Way(
        "ask = {**ask, 'model': 'openai/text-embedding-3-small', 'input': ['hello']}\ndel ask['messages']\n"
        "saw(len((AWAIT litellm.A_embedding(**ask)).data))"
    ),
    "responses: read": Way(
        "ask = {**ask, 'input': 'hello'}\ndel ask['messages']\n"
        "saw((AWAIT litellm.A_responses(**ask)).output[0].content[0].text)"
    ),
    "responses: failed": Way(
        "ask = {**ask, 'input': 'hello'}\ndel ask['messages']\nAWAIT litellm.A_responses(**ask)",
        "fail",
        status=ERROR,
    ),
}
SMOLAGENTS_SETUP = "import smolagents\n"
SMOLAGENTS_MODEL = """
options = {'max_retries': 0, 'timeout': TIMEOUT, 'default_headers': how}
model = smolagents.OpenAIModel('gpt-4o-mini', client_kwargs=options, retry=False)
ask = [smolagents.ChatMessage(role='user', content='hello')]
"""
SMOLAGENTS = {
    "read": Way("saw(model.generate(ask).content)"),
    "read with half a character": Way("saw(model.generate(ask).content)", "surrogate"),
    "failed": Way("model.generate(ask)", "fail", status=ERROR),
    "timed out": Way("model.generate(ask)", "hang", status=ERROR),
    "streamed: read": Way("for delta in model.generate_stream(ask): saw(delta.content)"),
    "streamed: left by break": Way(
        "for delta in model.generate_stream(ask):\n    saw(delta.content)\n    if COUNT == 3: break",
        status=OK,
        output=PART,
    ),
    "streamed: failed": Way("list(model.generate_stream(ask))", "fail", status=ERROR),
    "streamed: cut": Way(
        "for delta in model.generate_stream(ask): saw(delta.content)", "cut", status=ERROR, output=PART
    ),
    "streamed: timed out": Way(
        "for delta in model.generate_stream(ask): saw(delta.content)", "stall", status=ERROR, output=PART
    ),
    "run: failed": Way(
        "smolagents.ToolCallingAgent(tools=[], model=model, max_steps=1, verbosity_level=0).run('hello')",
        "fail",
        status=ERROR,
    ),
}
AGENTS_SETUP = """
import agents, asyncio, openai
from agents.tracing.processors import default_exporter
default_exporter().endpoint = str(openai.OpenAI().base_url) + "ingest"
"""
AGENTS_AGENT = """
client = openai.AsyncOpenAI(max_retries=0, timeout=TIMEOUT, default_headers=how)
agent = agents.Agent(name='agent', model=agents.MODEL('gpt-4o-mini', client))
"""
AGENTS_STREAM = "result = agents.Runner.run_streamed(agent, 'hello')\n"
AGENTS_ALL = "async for event in result.stream_events(): saw(event.type)\nsaw(result.final_output)"
AGENTS = {
    "read": Way("saw((await agents.Runner.run(agent, 'hello')).final_output)"),
    "read with half a character": Way(
        "saw((await agents.Runner.run(agent, 'hello')).final_output)", "surrogate"
    ),
    "streamed: read with half a character": Way(AGENTS_STREAM + AGENTS_ALL, "surrogate"),
    "failed": Way("await agents.Runner.run(agent, 'hello')", "fail", status=ERROR),
    "timed out": Way("await agents.Runner.run(agent, 'hello')", "hang", status=ERROR),
    "cancelled": Way(
        "client.timeout = 60\nawait asyncio.wait_for(agents.Runner.run(agent, 'hello'), 0.3)",
        "hang",
        status=ERROR,
    ),
    "streamed: read": Way(AGENTS_STREAM + AGENTS_ALL),
    "streamed: failed": Way(AGENTS_STREAM + AGENTS_ALL, "fail", status=ERROR),
    "streamed: cut": Way(AGENTS_STREAM + AGENTS_ALL, "cut", status=ERROR, output=PART),
    "streamed: timed out": Way(AGENTS_STREAM + AGENTS_ALL, "stall", status=ERROR, output=PART),
}


class Table(NamedTuple):
    """The calls that one process makes, after a set-up."""

    setup: str
    calls: dict[str, Call]


def tables() -> dict[str, Table]:
    """Every call of the four frameworks, by the process that makes it."""
    calls = {api: Table(SETUP, openai_calls(api)) for api in OPENAI}
    calls["litellm"] = Table(LITELLM_SETUP, both_ways(LITELLM, LITELLM_ASK))
    calls["smolagents"] = Table(SMOLAGENTS_SETUP, both_ways(SMOLAGENTS, SMOLAGENTS_MODEL, only="sync"))
    agents_calls = {
        f"{model}: {name}": call
        for model in ("OpenAIChatCompletionsModel", "OpenAIResponsesModel")
        for name, call in both_ways(AGENTS, AGENTS_AGENT.replace("MODEL", model), only="async").items()
    }
    calls["openai_agents"] = Table(AGENTS_SETUP, agents_calls)
    return calls


def openai_calls(api: str) -> dict[str, Call]:
    """The ways to call one API of the OpenAI SDK, with the sync and the async client."""
    calls = {}
    client = "client = openai.A_OpenAI(max_retries=0, timeout=TIMEOUT)\n"
    for kind, ways in OPENAI[api].items():
        before = client + f"api = client.{api}\n" + ASKS[api] + "ask['extra_headers'] = how\n"
        calls |= {f"{kind}: {name}": call for name, call in both_ways(ways, before).items()}
    return calls


def both_ways(ways: dict[str, Way], before: str, only: str = "") -> dict[str, Call]:
    """Each way as a sync and as an async call, below the lines that come before it."""
    return {
        f"{name}, {'async' if is_async else 'sync'}": Call(
            spoken(before + counted(way.source), is_async), way.how, is_async, way
        )
        for name, way in ways.items()
        for is_async in (False, True)
        if {only, way.only} <= {"", "async" if is_async else "sync"}
    }


def counted(source: str) -> str:
    """Replace COUNT by the number of events seen so far, this one included."""
    if "COUNT" not in source:
        return source
    return "import itertools\nnumbers = itertools.count(1)\n" + source.replace("COUNT", "next(numbers)")


def spoken(source: str, is_async: bool) -> str:
    """Put a source into the words of the sync or of the async client."""
    words = {
        "AWAIT ": "await " if is_async else "",
        "ASYNC ": "async " if is_async else "",
        "A_OpenAI": "AsyncOpenAI" if is_async else "OpenAI",
        "A_Stream": "AsyncStream" if is_async else "Stream",
        "A_": "a" if is_async else "",
        "TIMEOUT": "0.5 if 'hang' in how['x-how'] or 'stall' in how['x-how'] else 60",
    }
    for word, meant in words.items():
        source = source.replace(word, meant)
    return source
