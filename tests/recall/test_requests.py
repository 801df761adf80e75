"""Tips go to their places in a copy of a request, and to no others."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from kaizen.recall.frameworks.requests import (
    Request,
    read_chat,
    read_responses,
    with_tips_in_chat,
    with_tips_in_responses,
)
from kaizen.recall.recalled import Recalled

BLOCK, FULL, NOTE = (
    "<kaizen-tips>\nw\n</kaizen-tips>",
    "<kaizen-tips>\nt w\n</kaizen-tips>",
    "[kaizen] t\n[/kaizen]",
)
RECALLED = Recalled(notes={"find": NOTE}, text=BLOCK, full_text=FULL)
FIND = {"type": "function", "function": {"name": "find", "description": "Finds."}}
SEARCH = {"type": "web_search"}


def chat(*messages: Any, tools: list[Any] | None = None, **values: Any) -> dict[str, Any]:
    given = {"messages": list(messages), "tools": [FIND, SEARCH] if tools is None else tools, **values}
    before = copy.deepcopy(given)
    request = read_chat(given)
    assert request is not None
    told = with_tips_in_chat(request, RECALLED)
    assert given == before
    return told


def respond(is_kept: bool = False, **values: Any) -> dict[str, Any]:
    before = copy.deepcopy(values)
    request = read_responses(values)
    assert request is not None
    told = with_tips_in_responses(request, RECALLED, is_kept=is_kept)
    assert values == before
    return told


def test_a_note_goes_to_its_tool_and_the_block_to_the_end_of_the_instructions() -> None:
    told = chat({"role": "system", "content": "S"}, {"role": "developer", "content": "D"}, {"role": "user"})
    assert [message.get("content") for message in told["messages"]] == ["S", f"D\n\n{BLOCK}", None]
    assert told["tools"] == [
        {"type": "function", "function": {"name": "find", "description": f"Finds.\n\n{NOTE}"}},
        SEARCH,
    ]


@pytest.mark.parametrize("content", ["", None])
def test_instructions_that_are_empty_are_the_block(content: Any) -> None:
    assert chat({"role": "system", "content": content})["messages"] == [{"role": "system", "content": BLOCK}]


def test_without_instructions_the_block_comes_first_and_no_second_system_message_ever() -> None:
    told = chat({"role": "user", "content": "U"}, {"role": "system", "content": "later"})
    assert [message["role"] for message in told["messages"]] == ["system", "user", "system"]
    assert told["messages"][0]["content"] == BLOCK


def test_a_tool_without_a_description_gets_one() -> None:
    (told,) = chat({"role": "user"}, tools=[{"type": "function", "function": {"name": "find"}}])["tools"]
    assert told["function"]["description"] == NOTE


@pytest.mark.parametrize("tools", [[], [SEARCH], ["find"]])
def test_tips_about_tools_that_have_no_description_are_in_the_block(tools: list[Any]) -> None:
    assert chat({"role": "user"}, tools=tools)["messages"][0]["content"] == FULL


def test_objects_are_copied() -> None:
    @dataclass
    class Message:
        role: str
        content: Any

    @dataclass
    class Tool:
        name: str
        description: str

    told = chat(Message("system", [{"type": "text", "text": "S"}]), tools=[Tool("find", "Finds.")])
    assert told["messages"] == [
        Message("system", [{"type": "text", "text": "S"}, {"type": "text", "text": BLOCK}])
    ]
    assert told["tools"] == [Tool("find", f"Finds.\n\n{NOTE}")]


def test_the_legacy_functions_are_described_too() -> None:
    told = chat({"role": "user"}, tools=[], functions=[{"name": "find"}])
    assert told["functions"] == [{"name": "find", "description": NOTE}]


def test_a_response_s_instructions_end_with_the_block() -> None:
    told = respond(input="U", instructions="I", tools=[{"type": "function", "name": "find"}, SEARCH])
    assert (told["input"], told["instructions"]) == ("U", f"I\n\n{BLOCK}")
    assert told["tools"] == [{"type": "function", "name": "find", "description": NOTE}, SEARCH]


def test_a_response_without_instructions_is_given_some() -> None:
    tools = [{"type": "function", "name": "find"}]
    assert respond(input="U", tools=tools)["instructions"] == BLOCK
    assert respond(input="U", tools=tools, instructions="")["instructions"] == BLOCK


def test_a_stored_prompt_keeps_its_instructions_and_a_message_behind_them_has_the_block() -> None:
    given = {"input": "U", "tools": [{"type": "function", "name": "find"}], "prompt": {"id": "pmpt_1"}}
    told = respond(**given)
    assert "instructions" not in told
    assert told["input"] == [{"role": "developer", "content": BLOCK}, {"role": "user", "content": "U"}]
    assert respond(is_kept=True, **given)["input"] == "U"


def test_a_message_of_the_developer_is_given_the_block_as_long_as_the_api_does_not_keep_it() -> None:
    given = [{"role": "developer", "content": [{"type": "input_text", "text": "D"}]}, {"role": "user"}]
    tools = [{"type": "function", "name": "find"}]
    told = respond(input=given, tools=tools)
    assert told["input"][0]["content"] == [{"type": "input_text", "text": t} for t in ("D", BLOCK)]
    assert "instructions" not in told
    assert respond(is_kept=True, input=given, tools=tools)["input"] == given


@pytest.mark.parametrize("values", [{}, {"messages": []}, {"messages": "x"}, {"messages": None}])
def test_what_has_no_messages_is_not_read(values: dict[str, Any]) -> None:
    assert read_chat(values) is None


@pytest.mark.parametrize("values", [{}, {"input": None}, {"input": 7}])
def test_what_has_no_input_is_not_read(values: dict[str, Any]) -> None:
    assert read_responses(values) is None


def test_tips_that_are_there_already_are_recognised() -> None:
    def read(content: str, description: str = "") -> Request | None:
        tool = {"function": {"name": "find", "description": description}}
        return read_chat({"messages": [{"role": "system", "content": content}], "tools": [tool]})

    requests = [read("S"), read(f"S\n\n{BLOCK}"), read("S", NOTE)]
    assert [request is not None and request.is_given_tips for request in requests] == [False, True, True]


def test_the_tools_of_an_agent_that_writes_code_are_read_from_its_instructions() -> None:
    prompt = (
        'Tools:\ndef find(day: string) -> string:\n    """Finds."""\n\ndef book(a: string, b: any) -> dict:\n'
    )
    request = read_chat({"messages": [{"role": "system", "content": prompt}]})
    assert request is not None
    assert request.tools == ["find", "book"]
