"""MCP by the SDK's own client, over HTTP and standard input and output: what agents are told, and may say."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from kaizen.serve.context import Context
from kaizen.serve.mcp.server import build_server
from kaizen.serve.mcp.tools import MOST_CHARACTERS, TOOLS
from kaizen.serve.security import Caller
from tests.support.serving import bearer, opened, serving, settings
from tests.support.slow import SLOW
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from kaizen.store import Store

ALL = frozenset({"read", "write"})


def talk(
    directory: Path, say: Callable[[Client, Store], Awaitable[None]], scopes: frozenset[str] = ALL
) -> None:
    """Let a client talk with a server in this process, as somebody with these scopes."""

    @asynccontextmanager
    async def connected(store: Store, where: Any) -> AsyncIterator[Client]:
        context = Context(settings(), store, where)
        caller = Caller(name="bob", scopes=scopes)
        try:
            async with Client(build_server(context, lambda _: caller)) as client:
                yield client
        finally:
            context.close()

    async def run() -> None:
        with opened(directory) as (store, where):
            async with connected(store, where) as client:
                await say(client, store)

    asyncio.run(run())


async def call(client: Client, name: str, **arguments: Any) -> tuple[str, bool]:
    """Return what the tool says, and whether it is an error."""
    result = await client.call_tool(name, arguments)
    (content,) = result.content
    return content.text, result.is_error


def test_the_tools_cost_a_caller_few_tokens(tmp_path: Path) -> None:
    async def say(client: Client, _: Store) -> None:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
        # About four characters a token, and 450 tokens for all of them.
        text = json.dumps([tool.model_dump(exclude_none=True, by_alias=True) for tool in tools])
        assert len(text) < 1_800

    talk(tmp_path, say)


def test_an_agent_is_told_active_tips_only(tmp_path: Path) -> None:
    async def say(client: Client, _: Store) -> None:
        told, _ = await call(client, "recall_tips", task="Cancel order 7", tools=["cancel_order"])
        assert "get_order" in told
        assert await call(client, "recall_tips", task="paint a wall") == ("No tip fits this task.", False)
        found, _ = await call(client, "search_tips", query="send the order")
        assert "active: Read an order" in found
        assert "waiting" not in found
        assert "Backed by: 2 conversations" in (await call(client, "get_tip", id="active"))[0]
        assert (await call(client, "get_tip", id="waiting"))[1]
        assert (await call(client, "get_tip", id="nothing"))[1]
        resource = await client.read_resource("kaizen://tips")
        assert "get_order" in resource.contents[0].text
        assert "ops" not in resource.contents[0].text

    talk(tmp_path, say)


def test_the_prompt_is_a_task_with_its_tips(tmp_path: Path) -> None:
    async def say(client: Client, _: Store) -> None:
        (prompt,) = (await client.list_prompts()).prompts
        message = (await client.get_prompt(prompt.name, {"task": "Cancel order 7"})).messages[0]
        assert message.content.text.startswith("Cancel order 7\n")
        assert "get_order" in message.content.text

    talk(tmp_path, say)


def test_what_an_agent_says_is_kept_in_its_name_and_waits(tmp_path: Path) -> None:
    async def say(client: Client, store: Store) -> None:
        said, is_error = await call(client, "suggest_tip", content="Look before you leap.", steps=["Look."])
        assert "A person decides" in said
        assert not is_error
        await call(client, "report_outcome", trace_id="t1", success=False, note="it was late")
        suggested, reported = store.commits("kaizen", after=1)
        assert {suggested.actor, reported.actor} == {"kaizen serve: bob"}
        tip = suggested.changes[0].after
        assert tip is not None
        assert (tip.metadata["status"], tip.metadata["suggested_by"]) == ("quarantined", "kaizen serve: bob")
        assert (await call(client, "suggest_tip", content="x" * 5_000))[1]
        assert (await call(client, "report_outcome", success=True))[1]
        assert (await call(client, "nothing"))[1]

    talk(tmp_path, say)


def test_without_the_scope_an_agent_only_reads(tmp_path: Path) -> None:
    async def say(client: Client, store: Store) -> None:
        assert not (await call(client, "recall_tips", task="Cancel order 7"))[1]
        assert (await call(client, "suggest_tip", content="x")) == (
            "the token bob lacks the scope write",
            True,
        )
        assert store.get_namespace("kaizen").version == 1

    talk(tmp_path, say, frozenset({"read"}))


def test_results_stay_within_their_budget(tmp_path: Path) -> None:
    async def say(client: Client, store: Store) -> None:
        tips = [stored_tip(f"long-{n}", f"Cancel {n} " + "order " * 1_500, f"trace-{n}") for n in range(20)]
        store.commit("kaizen", changes_of(*tips))
        for name, arguments in (
            ("search_tips", {"query": "cancel order", "limit": 20}),
            ("get_tip", {"id": "long-1"}),
            ("recall_tips", {"task": "cancel order"}),
        ):
            text, _ = await call(client, name, **arguments)
            assert len(text) <= MOST_CHARACTERS + 20

    talk(tmp_path, say)


def test_each_request_over_http_stands_alone_and_has_its_caller(tmp_path: Path) -> None:
    def ask(name: str, **arguments: Any) -> dict[str, Any]:
        return {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": name, "arguments": arguments},
        }

    accept = {"Accept": "application/json, text/event-stream"}
    with serving(tmp_path) as (client, store):
        recalled = client.post("/mcp", json=ask("recall_tips", task="Cancel order 7"), headers=accept)
        assert "get_order" in recalled.text
        refused = client.post("/mcp", json=ask("suggest_tip", content="x"), headers=accept)
        assert refused.json()["result"]["isError"] is True
        known = {**accept, **bearer("agent")}
        assert client.post("/mcp", json=ask("suggest_tip", content="x"), headers=known).status_code == 200
        assert store.commits("kaizen", after=1)[0].actor == "kaizen serve: agent"


@pytest.mark.skipif(not SLOW, reason="KAIZEN_TEST_SLOW is not true")
def test_the_command_speaks_over_standard_input_and_output(tmp_path: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "kaizen.cli", "mcp", "--data-dir", str(tmp_path / "store")]
    )

    async def run() -> None:
        async with Client(stdio_client(command)) as client:
            assert (await call(client, "recall_tips", task="x"))[0] == "No tip fits this task."
            assert "A person decides" in (await call(client, "suggest_tip", content="Look first."))[0]

    asyncio.run(run())
