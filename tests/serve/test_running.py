"""The server as a process: how it refuses, ends, dies and shares a store; a real agent speaks to it."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.store import StoreSettings, open_store
from kaizen.tips import GUIDELINE
from tests.support.command import kaizen
from tests.support.postgres import database
from tests.support.serving import TOKENS, bearer, opened, server_process
from tests.support.slow import SLOW
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.shared import SharedServer

slow = pytest.mark.skipif(not SLOW, reason="KAIZEN_TEST_SLOW is not true")


def test_it_refuses_to_be_reached_by_others_without_tokens() -> None:
    ended = kaizen("serve", "--host", "0.0.0.0")
    assert ended.exit_code == 1
    assert "kaizen serve token NAME" in ended.error


def test_the_command_makes_a_token_and_the_line_for_it() -> None:
    ended = kaizen("serve", "token", "ann", "--scope", "review")
    assert ended.exit_code == 0
    secret, line = (text.partition(": ")[2] for text in ended.stdout.splitlines())
    assert secret.startswith("kaizen_")
    assert line.startswith("ann:read+review:sha256:")
    assert secret not in line
    assert kaizen("serve", "token", "ann", "--scope", "all").exit_code == 1


def write_until(url: str, done: threading.Event, kept: list[str]) -> None:
    """Add tips until the server is gone; keep the ids of those that it said it has."""
    with httpx.Client(headers=bearer("ann"), timeout=10) as client:
        while not done.is_set():
            try:
                answer = client.post(f"{url}/v1/tips", json={"content": "Look first."})
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                kept.append(answer.json()["id"])


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_however_it_ends_what_it_said_it_has_is_there(tmp_path: Path, number: signal.Signals) -> None:
    with opened(tmp_path) as (_, where):
        pass
    kept: list[str] = []
    done = threading.Event()
    with server_process(tmp_path / "log", "--data-dir", str(where.data_dir)) as (process, url):
        writers = [threading.Thread(target=write_until, args=(url, done, kept)) for _ in range(4)]
        for writer in writers:
            writer.start()
        while len(kept) < 30:
            assert process.poll() is None, (tmp_path / "log").read_text()
        process.send_signal(number)
        code = process.wait(30)
        done.set()
        for writer in writers:
            writer.join(30)
    assert code == -number
    log = (tmp_path / "log").read_text()
    assert re.search(r"^[\d-]+ [\d:,]+ INFO 127\.0\.0\.1 ann POST /v1/tips 201 ", log, re.MULTILINE)
    assert "kaizen_" not in log
    with open_store(where) as store:
        store.check()
        assert len(store.get_many("kaizen", kept)) == len(kept)
        # Each is whole: a commit of its own, with its actor.
        made = store.commits("kaizen", after=1, limit=10_000)
        assert {commit.actor for commit in made} == {"kaizen serve: ann"}
        assert len(made) == store.count("kaizen", type=GUIDELINE) - 3


@slow
def test_two_servers_on_one_postgres_stay_right(tmp_path: Path, postgres: SharedServer) -> None:
    dsn = database(postgres.url, "two-servers")
    where = StoreSettings(backend="postgres", pg_dsn=dsn, embedder="none")
    environ = {"KAIZEN_BACKEND": "postgres", "KAIZEN_PG_DSN": dsn}
    with open_store(where) as store:
        store.create_namespace("kaizen")
        tips = [stored_tip(f"tip-{n}", f"Lesson {n}.", status="quarantined") for n in range(10)]
        store.commit("kaizen", changes_of(*tips))
        with (
            server_process(tmp_path / "one", **environ) as (_, one),
            server_process(tmp_path / "two", **environ) as (_, two),
        ):
            statuses = asyncio.run(decide_twice(one, two, 10))
            assert sorted(statuses) == [200] * 10 + [409] * 10
            # What one did, the other serves within a moment.
            httpx.get(f"{two}/v1/snapshot")
            httpx.post(f"{one}/v1/tips", json={"content": "From one."}, headers=bearer("ann"))
            for _ in range(100):
                if "From one." in httpx.get(f"{two}/v1/snapshot").text:
                    return
            pytest.fail("the other server does not see it")


async def decide_twice(one: str, two: str, tips: int) -> list[int]:
    """Decide on each tip at both servers at the same time; return how each answered."""

    async def decide(client: httpx.AsyncClient, url: str, number: int) -> int:
        decision = {"tip_id": f"tip-{number}", "decision": "approved", "revision": 1}
        return (await client.post(f"{url}/v1/tips/review", json={"decisions": [decision]})).status_code

    async with httpx.AsyncClient(headers=bearer("ann"), timeout=30) as client:
        return list(
            await asyncio.gather(*(decide(client, url, n) for n in range(tips) for url in (one, two)))
        )


@slow
def test_the_client_of_the_sdk_speaks_over_http(tmp_path: Path) -> None:
    from mcp import Client

    async def ask(url: str) -> tuple[list[str], str]:
        async with Client(url) as client:
            tools = (await client.list_tools()).tools
            answer = await client.call_tool("recall_tips", {"task": "Cancel order 7"})
            return [tool.name for tool in tools], answer.content[0].text

    with opened(tmp_path) as (_, where):
        pass
    with server_process(tmp_path / "log", "--data-dir", str(where.data_dir)) as (_, url):
        names, told = asyncio.run(ask(f"{url}/mcp"))
    assert "recall_tips" in names
    assert "get_order" in told


@slow
def test_an_agent_of_the_openai_agents_sdk_is_given_tips_by_its_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kaizen.demo.model_server import ModelServer
    from kaizen.demo.scenario import Scenarios

    task = "Cancel order 7 for the customer"
    steps = [
        {"tool_calls": [{"name": "recall_tips", "arguments": {"task": task}}]},
        {"tool_calls": [{"name": "suggest_tip", "arguments": {"content": "Ask before you cancel."}}]},
        {"text": "done"},
    ]
    scenarios = Scenarios.from_json({"agents": [{"name": "cancel", "when": {"user": task}, "steps": steps}]})
    with opened(tmp_path) as (store, where):
        with (
            ModelServer(scenarios=scenarios) as model,
            server_process(tmp_path / "log", "--data-dir", str(where.data_dir)) as (_, url),
        ):
            monkeypatch.setenv("OPENAI_API_KEY", "scripted")
            monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
            assert asyncio.run(run_agent(f"{url}/mcp", task)) == "done"
            told = str(model.requests[1].body)
        assert "get_order" in told
        (suggested,) = store.iterate("kaizen", type=GUIDELINE, where={"creation_mode": "suggested"})
        assert suggested.metadata["status"] == "quarantined"
        assert suggested.metadata["suggested_by"] == "kaizen serve: agent"


async def run_agent(url: str, task: str) -> Any:
    from agents import Agent, Runner, set_tracing_disabled
    from agents.mcp import MCPServerStreamableHttp

    set_tracing_disabled(disabled=True)
    async with MCPServerStreamableHttp({"url": url, "headers": bearer("agent")}, name="kaizen") as server:
        agent = Agent(name="shop", instructions="Help.", mcp_servers=[server], model="gpt-4.1-mini")
        return (await Runner.run(agent, task)).final_output


def test_tokens_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_SERVE_TOKENS", TOKENS.replace(" ", "\n") + " wrong")
    assert "entry 5 of KAIZEN_SERVE_TOKENS" in kaizen("serve").error
