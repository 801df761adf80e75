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
CLIENT = "client = openai.{}OpenAI(max_retries=0, timeout=0.2 if 'hang' in how['x-how'] or 'stall' in how['x-how'] else 30)\n"
ASKS = {
    "chat.completions": "ask = {'model': 'gpt-4o-mini', 'messages': [{'role': 'user', 'content': 'hello'}]}\n",
    "responses": "ask = {'model': 'gpt-4o-mini', 'input': 'hello'}\n",
    "completions": "ask = {'model': 'gpt-3.5-turbo-instruct', 'prompt': 'hello'}\n",
    "embeddings": "ask = {'model': 'text-embedding-3-small', 'input': 'hello'}\n",
}

CREATED = {
    "read": Way("saw(AWAIT api.create(**ask))"),
    "compressed": Way("saw(AWAIT api.create(**ask))", "gzip"),
    "failed": Way("AWAIT api.create(**ask)", "fail", status=ERROR),
    "cut": Way("AWAIT api.create(**ask)", "cut", status=ERROR),
    "timed out": Way("AWAIT api.create(**ask)", "hang", status=ERROR),
    "nobody listens": Way(
        "AWAIT type(api)(client.with_options(base_url='http://127.0.0.1:9/v1')).create(**ask)", status=ERROR
    ),
    "cancelled": Way(
        """
task = asyncio.create_task(api.create(**ask, timeout=30))
await asyncio.sleep(0.15)
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
await asyncio.sleep(0.15)
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
await asyncio.sleep(0.15)
task.cancel()
await task
"""
STREAMED = {
    "read": Way(
        STREAM
        + "go()\nsaw(isinstance(stream, openai.A_Stream))\nASYNC for event in stream: saw(event)\nsaw(gate())",
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
        + "ASYNC with stream:\n    ASYNC for event in stream:\n        saw(event)\n        if COUNT == 4: break",
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
        + "ASYNC with stream:\n    ASYNC for event in stream:\n        if COUNT == 4: raise ValueError('mine')",
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
WITH_STREAM = "ASYNC with api.with_streaming_response.create(**ask, stream=True) as response:\n    saw(response)\n    go()\n"
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
            "\n    async with api.stream(**ask, timeout=30) as stream:\n        async for event in stream: saw(event.type)"
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


def openai_calls() -> dict[str, Call]:
    """The table for the OpenAI SDK, with the sync and the async client."""
    calls = {}
    for api, kinds in OPENAI.items():
        for kind, ways in kinds.items():
            for name, way in ways.items():
                for is_async in (False, True):
                    if way.only in ("", "async" if is_async else "sync"):
                        source = (
                            CLIENT.format("Async" if is_async else "") + f"api = client.{api}\n" + ASKS[api]
                        )
                        source += "ask['extra_headers'] = how\n" + counted(way.source)
                        label = f"{api}, {'async' if is_async else 'sync'}, {kind}: {name}"
                        calls[label] = Call(spoken(source, is_async), way.how, is_async, way)
    return calls


def counted(source: str) -> str:
    """Replace COUNT by the number of events seen so far, this one included."""
    if "COUNT" not in source:
        return source
    return "import itertools\nnumbers = itertools.count(1)\n" + source.replace("COUNT", "next(numbers)")


def spoken(source: str, is_async: bool) -> str:
    """Put a source into the words of the sync or of the async client."""
    words = (
        {
            "AWAIT ": "await ",
            "ASYNC ": "async ",
            "A_iter": "aiter",
            "A_close": "aclose",
            "A_next": "anext",
            "A_Stream": "AsyncStream",
        }
        if is_async
        else {
            "AWAIT ": "",
            "ASYNC ": "",
            "A_iter": "iter",
            "A_close": "close",
            "A_next": "next",
            "A_Stream": "Stream",
        }
    )
    for word, meant in words.items():
        source = source.replace(word, meant)
    return source
