"""Definitions of tools in every shape, and tips that are older than their tools."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.model import Message, ToolCall, Trajectory
from kaizen.sync.state.ledger import Ledger
from kaizen.sync.status import read_staleness
from kaizen.sync.trajectory.tool_definitions import (
    Offered,
    changed_tools,
    newest,
    read_definitions,
    signatures,
    tool_versions,
    tools_of,
)
from tests.support.listed import ListedSource, one_call
from tests.support.syncing import make_sync, open_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.store import Store
    from kaizen.sync.model import Trace


def schema(name: str, *parameters: str) -> str:
    properties = {parameter: {"type": "string"} for parameter in parameters}
    function = {"name": name, "parameters": {"type": "object", "properties": properties}}
    return json.dumps({"type": "function", "function": function})


# one tool

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FIND = {"name": "find", "description": "Finds a city."}
SHAPES: dict[str, Any] = {
    "OpenAI chat": {"type": "function", "function": {**FIND, "parameters": CITY}},
    "OpenAI Responses": {"type": "function", **FIND, "parameters": CITY, "strict": True},
    "Anthropic": {**FIND, "input_schema": CITY},
    "Gemini": {"function_declarations": [{**FIND, "parameters": CITY}]},
    "Gemini in camel case": {"functionDeclarations": [{**FIND, "parametersJsonSchema": CITY}]},
    "Gemini's configuration": {"tools": [{"function_declarations": [{**FIND, "parameters": CITY}]}]},
    "MCP": {**FIND, "inputSchema": CITY},
    "MCP's list": {"tools": [{**FIND, "inputSchema": CITY}]},
    "Bedrock": {"toolSpec": {**FIND, "inputSchema": {"json": CITY}}},
    "Bedrock's configuration": {"tools": [{"toolSpec": {**FIND, "inputSchema": {"json": CITY}}}]},
    "a list": [{"type": "function", "function": {**FIND, "parameters": CITY}}],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_reader_of_definitions_sees_the_same_tool_in_every_shape(shape: str) -> None:
    text = json.dumps(SHAPES[shape])

    (tool,) = read_definitions(text)
    assert (tool.name, tool.parameters) == ("find", CITY)
    assert signatures([text]) == ["find(city: string)"]
    assert tool_versions([text]) == {"find": tool.version}
    assert [tool.signature for tool in read_definitions(text)] == ["find(city: string)"]
    assert list(tools_of(["Call find first."], "", Trajectory(trace_id="t", messages=(), tools=(text,)))) == [
        "find"
    ]


def test_several_tools_in_one_text_stay_in_their_order() -> None:
    text = json.dumps({"function_declarations": [{"name": "b"}, {"name": "a"}, 7, None, {"name": ""}]})

    assert list(tool_versions([text])) == ["b", "a"]
    assert signatures([text]) == ["b()", "a()"]


def test_a_tool_of_the_provider_is_known_by_its_type() -> None:
    search = json.dumps({"type": "web_search", "filters": {"allowed_domains": ["example.org"]}})
    other = json.dumps({"type": "web_search"})

    assert signatures([search]) == ["web_search()"]
    assert tool_versions([search]).keys() == {"web_search"}
    assert tool_versions([search]) != tool_versions([other])


def test_key_order_and_wrapping_do_not_change_a_version() -> None:
    wrapped = schema("find", "city")
    function = json.loads(wrapped)["function"]
    bare = json.dumps(dict(reversed(function.items())), indent=1)

    assert tool_versions([wrapped]) == tool_versions([bare])
    assert tool_versions([json.dumps({"type": "function", **function})]) == tool_versions([wrapped])


def test_another_parameter_is_another_version() -> None:
    assert tool_versions([schema("find", "city")]) != tool_versions([schema("find", "town")])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[1]",
        "null",
        '{"parameters": {}}',
        '{"name": 3}',
        '{"type": "object", "properties": {}}',
        '{"type": "function", "function": {"name": 3}}',
        "[" * 9_999,
        '{"tools": [' * 400 + "]}" * 400,
        '{"function": ' * 900 + "1" + "}" * 900,
    ],
)
def test_a_text_that_defines_no_tool_has_no_version(text: str) -> None:
    assert tool_versions([text]) == {}


# the tools that a tip is about


def trajectory() -> Trajectory:
    call = ToolCall(id="c1", name="book", arguments='{"date": "tomorrow"}')
    return Trajectory(
        trace_id="t",
        messages=(
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", tool_call_id="c1", content="the date  must look like 05JAN26"),
        ),
        tools=(schema("book", "date"), schema("find", "city"), schema("find_all", "city")),
    )


@pytest.mark.parametrize(
    ("text", "quote", "names"),
    [
        ("Call find() first.", "nowhere", ["find"]),
        ("Call find_all.", "nowhere", ["find_all"]),
        ("Write dates so.", "must look like 05JAN26", ["book"]),
        ("Write dates so.", '{"date": "tomorrow"}', ["book"]),
        ("Call find first.", "the date must look like", ["book", "find"]),
        ("Be careful.", "nowhere", ["book", "find", "find_all"]),
    ],
)
def test_a_tip_is_about_the_tools_it_names_or_quotes_else_about_all(
    text: str, quote: str, names: list[str]
) -> None:
    found = tools_of([text], quote, trajectory())

    assert sorted(found) == names
    assert found.items() <= tool_versions(trajectory().tools).items()


# what has changed


def source(trace_id: str, **tools: str) -> dict[str, Any]:
    return {"source": "phoenix", "project": "p", "trace_id": trace_id, "tools": tools}


def test_the_newest_trace_says_what_a_tool_is_now_in_whatever_order_they_come() -> None:
    known: dict[str, Offered] = {}
    for at, version in (("2026-02", "new"), ("2026-01", "old"), ("2026-03", "newest")):
        known = newest(known, {"find": version}, at, f"trace-{at}")

    assert known == {"find": Offered("newest", "2026-03", "trace-2026-03")}


def test_a_tip_is_stale_where_none_of_its_evidence_is_as_new_as_its_tool() -> None:
    known = {
        ("phoenix", "p"): {"find": Offered("v2", "2026-02", "t9"), "book": Offered("v1", "2026-02", "t9")}
    }

    (changed,) = changed_tools([source("a", find="v0"), source("b", find="v1", book="v1")], known)

    assert (changed.name, changed.learned_under, changed.newest.trace_id) == ("find", ("v0", "v1"), "t9")
    assert changed_tools([source("a", find="v1"), source("b", find="v2")], known) == []
    assert changed_tools([{**source("a", find="v1"), "project": "other"}], known) == []
    assert changed_tools([source("a", dropped="v1")], known) == []


# in a sync


@pytest.fixture
def store(tmp_path: Path, scripted: ModelServer) -> Iterator[Store]:
    with open_data_dir(tmp_path, "sqlite") as store:
        yield store


def lesson(trace_id: str, at: int, word: str, *tools: str) -> Trace:
    attributes = {f"llm.tools.{n}.tool.json_schema": tool for n, tool in enumerate(tools)}
    told = [{"role": "user", "content": f"What is LESSON-{word}, asks {trace_id}?"}]
    return one_call(trace_id, at, told, "-", **attributes)


def sync(store: Store, *traces: Trace, **settings: Any) -> None:
    make_sync(ListedSource(traces), store, full=True, **settings).run()  # type: ignore[arg-type]


def stale(store: Store) -> dict[str, list[str]]:
    """The tools that have changed, by the content of the tip."""
    staleness = read_staleness(store, "kaizen")
    changed = {e.content: staleness.changed(e) for e in store.iterate("kaizen", type="guideline")}
    return {content: [tool.name for tool in tools] for content, tools in changed.items() if tools}


def test_tips_go_stale_when_a_newer_trace_is_offered_another_tool(store: Store) -> None:
    old = [lesson("t0", 0, "alpha", schema("find", "city"), schema("book", "date"))]
    sync(store, *old)
    assert stale(store) == {}

    sync(store, *old, lesson("t1", 1, "beta", schema("find", "town")))

    assert stale(store) == {"Remember alpha.": ["find"]}


@pytest.mark.parametrize("shape", ["Gemini", "Bedrock", "Anthropic", "MCP"])
def test_tips_go_stale_whatever_shape_their_tools_are_defined_in(store: Store, shape: str) -> None:
    before, after = json.dumps(SHAPES[shape]), json.dumps(SHAPES[shape]).replace("city", "town")
    old = lesson("t0", 0, "alpha", before)
    sync(store, old)
    sync(store, old, lesson("t1", 1, "beta", after))

    assert stale(store) == {"Remember alpha.": ["find"]}


def test_an_older_trace_that_comes_late_makes_nothing_stale(store: Store) -> None:
    new = lesson("t1", 5, "beta", schema("find", "town"))
    sync(store, new)

    sync(store, new, lesson("t0", 0, "alpha", schema("find", "city")))

    assert stale(store) == {"Remember alpha.": ["find"]}


def test_a_tip_that_is_learned_again_under_the_new_tool_is_stale_no_more(store: Store) -> None:
    traces = [lesson("t0", 0, "alpha", schema("find", "city")), lesson("t1", 1, "x", schema("find", "town"))]
    sync(store, *traces)
    assert stale(store) == {"Remember alpha.": ["find"]}

    sync(store, *traces, lesson("t2", 2, "alpha", schema("find", "town")))

    assert stale(store) == {}


def test_the_tools_are_known_although_the_sync_was_killed_before_its_checkpoint(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.sync.run.pipeline.Sync._keep", lambda *_: None)

    sync(store, lesson("t0", 0, "alpha", schema("find", "city")))
    sync(store, lesson("t1", 1, "beta", schema("find", "town")))

    assert store.count("kaizen", type="checkpoint") == 0
    assert stale(store) == {"Remember alpha.": ["find"]}
    ledger = Ledger(store, "kaizen", "listed", "stories")
    assert datetime.fromisoformat(ledger.tools["find"].at).astimezone(UTC)
    assert ledger.tools["find"].trace_id == "t1"


def test_the_checkpoint_keeps_what_the_commits_before_it_said(store: Store) -> None:
    sync(store, lesson("t0", 0, "alpha", schema("find", "city")))

    ledger = Ledger(store, "kaizen", "listed", "stories")

    assert ledger.checkpoint.tools == ledger.tools
    assert ledger.tools["find"].schema == tool_versions([schema("find", "city")])["find"]


def test_evidence_says_which_models_the_agent_used(store: Store) -> None:
    sync(store, lesson("t0", 0, "alpha"))

    (tip,) = store.iterate("kaizen", type="guideline")
    (evidence,) = tip.metadata["sources"]  # type: ignore[misc, union-attr]
    assert evidence["models"] == ["gpt-4o"]  # type: ignore[index, call-overload]
