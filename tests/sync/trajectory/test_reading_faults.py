"""What was once lost or read wrongly: a table of shapes, each with what it must become."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import describe, link
from kaizen.sync.trajectory.tool_definitions import tool_versions
from tests.support.traces import (
    START,
    flat,
    llm,
    load_traces,
    result,
    says,
    span,
    system,
    told,
    tool,
    trace,
    user,
)

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync.model import Span, Trace, Trajectory


def build(*spans: Span) -> Trajectory:
    return build_trajectory(trace(*spans))


def indexed(kind: str, *messages: dict[str, str]) -> dict[str, str]:
    """OpenLLMetry's keys for prompts or completions."""
    return {f"gen_ai.{kind}.{n}.{k}": v for n, message in enumerate(messages) for k, v in message.items()}


# results of calls that never ran


JUNE = ("c1", "book", '{"date": "31 June"}')
JULY = ("c2", "book", '{"date": "1 July"}')


@pytest.mark.parametrize("has_arguments", [True, False], ids=["arguments", "no arguments"])
@pytest.mark.parametrize("fails", [False, True], ids=["booked", "failed"])
@pytest.mark.parametrize("answer", ["no date", ""], ids=["a result", "no result"])
def test_a_refused_call_gets_nothing_of_the_next_call_of_its_tool(
    answer: str, fails: bool, has_arguments: bool
) -> None:
    refused = [result("c1", answer)] if answer else []
    given = [user("?"), says("", JUNE), *refused, user("Take 1 July")]
    ran = tool(
        "t",
        "book",
        {"date": "1 July"} if has_arguments else None,
        None if fails else "booked",
        at=3,
        error="sold out" if fails else "",
    )
    trajectory = build(
        llm("a", [user("?")], says("", JUNE), at=0),
        llm("b", given, says("", JULY), at=2),
        ran,
        llm("c", [*given, says("", JULY), result("c2", "sold out" if fails else "booked")], "Done.", at=5),
    )

    results = {m.tool_call_id: m.content for m in trajectory.messages if m.role == "tool"}
    assert results == {**({"c1": answer} if answer else {}), "c2": "sold out" if fails else "booked"}


def test_a_span_with_the_arguments_of_another_call_belongs_to_that_call() -> None:
    trajectory = build(
        llm("a", [user("?")], says("", JUNE, JULY), at=0),
        tool("t", "book", {"date": "1 July"}, "booked", at=1),
    )

    assert [(m.tool_call_id, m.content) for m in trajectory.messages if m.role == "tool"] == [
        ("c2", "booked")
    ]


def test_a_span_that_starts_with_the_next_model_call_still_counts() -> None:
    trajectory = build(
        llm("a", [user("?")], says("", JUNE), at=0),
        tool("t", "book", {"date": "31 June"}, "no such day", at=2),
        llm("b", [user("?"), says("", JUNE), user("Well?")], "Sorry.", at=2),
    )

    assert [m.content for m in trajectory.messages if m.role == "tool"] == ["no such day"]


# answers

ANSWERS: dict[str, dict[str, Any]] = {
    "OpenLLMetry, Anthropic's thinking": {
        **indexed("prompt", {"role": "user", "content": "?"}),
        **indexed(
            "completion",
            {"role": "thinking", "content": "Let me think."},
            {"role": "assistant", "content": "Yes."},
        ),
    },
    "OpenLLMetry, LangChain": {
        **indexed("prompt", {"role": "user", "content": "?"}),
        **indexed("completion", {"role": "unknown", "content": "Yes."}),
    },
    "OpenInference, a role of its own": {
        **flat("llm.input_messages.0.message", user("?")),
        **flat("llm.output_messages.0.message", {"role": "bot", "content": "Yes."}),
    },
    "GenAI conventions": {
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "?"}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "unknown", "parts": [{"type": "text", "content": "Yes."}]}]
        ),
    },
}


@pytest.mark.parametrize("shape", ANSWERS)
def test_an_answer_is_read_whatever_its_role_is_called(shape: str) -> None:
    trajectory = build(span("a", "LLM", attributes=ANSWERS[shape]))

    assert told(trajectory.messages) == ["user: ?", "assistant: Yes."]
    assert trajectory.errors == ()


def test_an_output_that_is_no_answer_is_counted() -> None:
    call = llm("a", [user("?")], {"role": "tool", "content": "42", "tool_call_id": "c1"})

    assert build(call).errors == ("the output of 1 model calls was no answer, and is left out",)


# the last word

TURNS = [user("Cancel W1"), says("Which of the two items?"), user("Both.")]
STATES: dict[str, Any] = {
    "AutoGen's result": {
        "messages": [{"source": "writer", "content": "Done.", "type": "TextMessage"}],
        "stop_reason": "x",
    },
    "AutoGen's response": {"chat_message": {"source": "writer", "content": "Done.", "type": "TextMessage"}},
    "AutoGen's message": {"source": "writer", "content": "Done.", "type": "TextMessage", "metadata": {}},
    "AutoGen's messages": [{"source": "writer", "content": "Done.", "type": "TextMessage"}],
}


def root(word: str, given: str = "Cancel W1") -> Span:
    return span("root", "AGENT", ends=99, attributes={"input.value": given, "output.value": word})


@pytest.mark.parametrize("word", ["Thank you, bye!", "###STOP###"])
def test_where_a_person_ends_the_conversation_the_last_word_is_the_users(word: str) -> None:
    call = llm("a", TURNS, "Both are cancelled.", at=1, parent="root")

    assert told(build(root(word), call).messages)[-2:] == ["assistant: Both are cancelled.", f"user: {word}"]


def test_after_a_tool_the_last_word_is_the_agents() -> None:
    spans = [
        llm("a", TURNS, says("", ("c1", "cancel", "{}")), at=1, parent="root"),
        tool("t", "cancel", {}, "ok", at=3, parent="root"),
    ]

    assert told(build(root("Cancelled."), *spans).messages)[-1] == "assistant: Cancelled."


@pytest.mark.parametrize(
    "code", ["final_answer(6 * 7)", "<code>\nprint(6 * 7)\n</code>", "```py\n6 * 7\n```"]
)
def test_after_code_the_last_word_is_the_agents(code: str) -> None:
    given = [user("?"), says("<code>\nprint(1)\n</code>"), user("Observation: 1")]
    call = llm("a", given, code, at=1, parent="root")

    assert told(build(root("42"), call).messages)[-1] == "assistant: 42"


@pytest.mark.parametrize("state", STATES)
def test_the_state_of_a_team_is_no_last_word(state: str) -> None:
    call = llm("a", [user("Cancel W1")], "It is cancelled.", at=1, parent="root")

    messages = build(root(json.dumps(STATES[state])), call).messages
    assert told(messages) == ["user: Cancel W1", "assistant: It is cancelled."]


def test_a_structured_answer_that_only_the_root_holds_stays() -> None:
    answer = json.dumps({"order": "W1", "cancelled": True})
    call = llm("a", [user("Cancel W1")], says("", ("c1", "cancel", "{}")), at=1, parent="root")

    assert told(build(root(answer), call).messages)[-1] == f"assistant: {answer}"


# tool results and arguments

CONVERSE = [
    {"role": "user", "content": [{"text": "Weather?"}]},
    {
        "role": "assistant",
        "content": [
            {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}},
            {"toolUse": {"toolUseId": "t2", "name": "weather", "input": {"city": "Rome"}}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sky": "clear"}}], "status": "success"}},
            {"toolResult": {"toolUseId": "t2", "content": [{"text": "rain"}]}},
        ],
    },
]
CONVERSE_READ = [
    "user: Weather?",
    'assistant:  -> weather({"city": "Paris"}) -> weather({"city": "Rome"})',
    'tool: {"sky": "clear"}',
    "tool: rain",
    "assistant: Clear and rain.",
]
CONVERSE_ANSWER = {"role": "assistant", "content": [{"text": "Clear and rain."}]}


@pytest.mark.parametrize(
    "values",
    [
        (CONVERSE, CONVERSE_ANSWER),
        ({"messages": CONVERSE}, {"output": {"message": CONVERSE_ANSWER}, "stopReason": "end_turn"}),
    ],
    ids=["messages", "request and response"],
)
def test_results_in_bedrocks_shape_are_the_tools(values: tuple[Any, Any]) -> None:
    given, answer = map(json.dumps, values)
    call = span("a", "LLM", attributes={"input.value": given, "output.value": answer})

    messages = build(call).messages
    assert told(messages) == CONVERSE_READ
    assert [m.tool_call_id for m in messages if m.role == "tool"] == ["t1", "t2"]


def test_a_result_as_bedrocks_agents_write_it_is_the_tools() -> None:
    call = ("toolu_bdrk_1", "add", '{"n1": 10}')
    written = "[{tool_use_id=toolu_bdrk_1, type=tool_result, content=[Content{type=text, text=30}]}]"
    trajectory = build(llm("a", [user("Add"), says("", call), user(written)], "It is 30."))

    assert told(trajectory.messages)[2:] == ["tool: 30", "assistant: It is 30."]


@pytest.mark.parametrize("arguments", ["{}", ""])
@pytest.mark.parametrize("wrapped", [{"kwargs": {"city": "Paris"}}, {"city": "Paris"}])
def test_arguments_that_a_message_lacks_come_from_the_tool_span(arguments: str, wrapped: Any) -> None:
    call = ("c1", "weather", arguments)
    trajectory = build(
        llm("a", [user("?")], says("", call), at=0),
        tool("t", "weather", wrapped, "sunny", at=2),
        llm("b", [user("?"), says("", call), result("c1", "sunny")], "Sunny.", at=4),
    )

    assert told(trajectory.messages) == [
        "user: ?",
        'assistant:  -> weather({"city":"Paris"})',
        "tool: sunny",
        "assistant: Sunny.",
    ]


def test_a_call_without_arguments_stays_without() -> None:
    trajectory = build(
        llm("a", [user("?")], says("", ("c1", "now", "{}")), at=0), tool("t", "now", {}, "noon", at=2)
    )

    assert told(trajectory.messages)[1:] == ["assistant:  -> now({})", "tool: noon"]


# model calls of another kind


@pytest.mark.parametrize("kind", ["UNKNOWN", "CHAIN", "AGENT"])
@pytest.mark.parametrize("shape", ["OpenLLMetry, LangChain", "GenAI conventions"])
def test_spans_that_hold_messages_are_read_where_no_span_is_a_model_call(kind: str, shape: str) -> None:
    trajectory = build(
        span("root", "CHAIN", ends=9), span("a", kind, at=1, parent="root", attributes=ANSWERS[shape])
    )

    assert told(trajectory.messages) == ["user: ?", "assistant: Yes."]


def test_a_transcript_is_told_turn_by_turn() -> None:
    turns = [
        indexed("prompt", {"role": "user", "content": "Book a table"})
        | indexed("completion", {"role": "assistant", "content": "For how many?"}),
        indexed(
            "prompt",
            {"role": "user", "content": "Book a table"},
            {"role": "assistant", "content": "For how many?"},
            {"role": "user", "content": "Four"},
        )
        | indexed("completion", {"role": "assistant", "content": "Done."}),
    ]
    spans = [
        span(f"turn{n}", "UNKNOWN", at=2 * n, parent="gone", name="openai.realtime", attributes=attributes)
        for n, attributes in enumerate(turns)
    ]

    assert told(build(*spans).messages) == [
        "user: Book a table",
        "assistant: For how many?",
        "user: Four",
        "assistant: Done.",
    ]


# LiteLLM's callback

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}


def callback(*, with_usage: bool) -> list[Span]:
    function = {"name": "weather", "description": "Tells it.", "parameters": WEATHER}
    request = {
        "llm.request.type": "completion",
        "llm.tools.0.name": "weather",
        "llm.tools.0.description": "Tells it.",
        "llm.tools.0.parameters": json.dumps(WEATHER),
        **({"metadata.usage_object.prompt_tokens": 5, "llm.token_count.prompt": 5} if with_usage else {}),
    }
    raw = {
        "llm.openai.messages": repr([user("?")]),
        "llm.openai.choices": repr([{"message": says("Yes.")}]),
        "llm.openai.tools": repr([{"type": "function", "function": function}]),
        "llm.openai.usage": repr({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
    }
    return [
        span("a", "TOOL", name="litellm_request", ends=3, attributes=request),
        span("b", "UNKNOWN", name="raw_gen_ai_request", at=1, parent="a", attributes=raw),
    ]


@pytest.mark.parametrize("with_usage", [True, False])
def test_tools_and_tokens_of_litellms_callback_are_read_once(with_usage: bool) -> None:
    trajectory = build(*callback(with_usage=with_usage))

    assert told(trajectory.messages) == ["user: ?", "assistant: Yes."]
    assert (trajectory.usage.prompt_tokens, trajectory.usage.completion_tokens) == (5, 2)
    assert len(trajectory.tools) == 1
    assert tool_versions(trajectory.tools).keys() == {"weather"}


@pytest.mark.parametrize("span_number", [0, 1])
def test_either_span_of_the_callback_holds_the_same_version_of_a_tool(span_number: int) -> None:
    spans = callback(with_usage=True)
    other = 1 - span_number
    kept = {k: v for k, v in spans[other].attributes.items() if ".tools" not in k}
    spans[other] = replace(spans[other], attributes=kept)

    versions = [tool_versions(build(*one).tools) for one in (spans, callback(with_usage=True))]
    assert versions[0] == versions[1]


def test_recorded_calls_of_the_callback_have_their_tools_and_tokens(shared_data: Path) -> None:
    traces = load_traces(shared_data / "spans" / "replay_retail" / "litellm-arize.rest.json.gz")
    others = load_traces(shared_data / "spans" / "replay_retail" / "oi-litellm.rest.json.gz")
    trajectories = [build_trajectory(one) for one in traces]

    assert all(one.usage.prompt_tokens and one.usage.completion_tokens for one in trajectories)
    assert {tuple(sorted(tool_versions(one.tools))) for one in trajectories} == {
        tuple(sorted(tool_versions(build_trajectory(one).tools))) for one in others
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "llm.request.functions.0.name": "weather",
            "llm.request.functions.0.parameters": json.dumps(WEATHER),
        },
        {"ai.prompt.tools": [json.dumps({"type": "function", "name": "weather", "inputSchema": WEATHER})]},
    ],
    ids=["OpenLLMetry", "Vercel AI SDK"],
)
def test_tools_are_read_as_other_stacks_write_them(attributes: dict[str, Any]) -> None:
    assert tool_versions(build(llm("a", [user("?")], "-", attributes=attributes)).tools).keys() == {"weather"}


# errors

LOST = "connection to db-7 lost"


@pytest.mark.parametrize(
    "outer",
    [
        LOST,
        f"ToolError: {LOST}",
        f"Error executing tool 'read' with arguments {{}}: {LOST}",
        f"Step 1 failed ({LOST}), giving up",
    ],
)
def test_an_error_is_told_once_where_spans_nest(outer: str) -> None:
    trajectory = build(
        span("root", "AGENT", ends=9, error=outer),
        span("step", "CHAIN", at=1, ends=8, parent="root", error=outer),
        llm("a", [user("?")], "Reading.", at=2, parent="step"),
        span("t", "CHAIN", at=4, parent="step", error=f"OSError: {LOST}"),
    )

    assert len(trajectory.errors) == 1
    assert LOST in trajectory.errors[0]


def test_errors_of_their_own_are_all_told() -> None:
    trajectory = build(
        span("root", "AGENT", ends=9, error="MaxStepsError: gave up after 3 steps"),
        llm("a", [user("?")], "Reading.", at=2, parent="root"),
        span("one", "CHAIN", at=4, parent="root", error=LOST),
        span("two", "CHAIN", at=5, parent="root", error="disk full"),
    )

    assert len(trajectory.errors) == 3


def test_an_error_that_a_message_holds_in_json_is_not_told_again() -> None:
    error = 'no such "table"\nin the schema'
    call = ("c1", "read", "{}")
    trajectory = build(
        llm("a", [user("?")], says("", call), at=0),
        span("step", "CHAIN", at=2, error=error),
        llm("b", [user("?"), says("", call), result("c1", json.dumps({"error": error}))], "Hm.", at=4),
    )

    assert trajectory.errors == ()


# stories

GREETED = [user("Hi"), says("Hello, how can I help?")]


def stories(*traces: Trace) -> list[set[str]]:
    """The stories of traces, each of which started a minute after the one before."""
    found = link(
        describe(build_trajectory(one), START + timedelta(minutes=n)) for n, one in enumerate(traces)
    )
    return [{story.head, *story.parts} for story in found]


def one_trace(trace_id: str, *spans: Span) -> Trace:
    return replace(trace(*spans), trace_id=trace_id)


def one_call(trace_id: str, given: list[dict[str, Any]], answer: str) -> Trace:
    return one_trace(trace_id, llm("a", [system("Be kind."), *given], answer))


def test_a_greeting_does_not_join_a_run_that_greets_by_itself() -> None:
    greeting = one_call("greeting", GREETED[:1], "Hello, how can I help?")
    given = [*GREETED, user("Cancel W1")]
    run = one_trace(
        "run",
        llm("a", GREETED[:1], "Hello, how can I help?", at=0),
        llm("b", given, "Cancelled.", at=2),
        llm("c", [*given, says("Cancelled."), user("Bye")], "Bye.", at=4),
    )

    assert stories(greeting, run) == [{"greeting"}, {"run"}]


def test_interleaved_runs_that_open_alike_stay_two() -> None:
    def calls(name: str) -> list[Trace]:
        given = [*GREETED, user(f"Cancel {name}")]
        return [
            one_call(f"{name}1", GREETED[:1], "Hello, how can I help?"),
            one_call(f"{name}2", given, f"Cancelled {name}."),
            one_call(f"{name}3", [*given, says(f"Cancelled {name}."), user("Bye")], "Bye."),
        ]

    one, other = calls("x"), calls("y")
    found = stories(*(call for pair in zip(one, other, strict=True) for call in pair))

    assert sorted(map(len, found)) == [3, 3]
    assert all(len({trace_id[0] for trace_id in story if trace_id[1] != "1"}) == 1 for story in found)
