"""The trajectory of a trace, from small hand-made spans and from recorded ones."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaizen.sync import UnknownShapeError
from kaizen.sync.model import Trace, Usage
from kaizen.sync.redact import Redactor
from kaizen.sync.trajectory.build import NO_LLM_SPAN, build_trajectory
from tests.support.cpu import cpu_time
from tests.support.traces import (
    llm,
    load_traces,
    order_faults,
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
    from types import FrameType

    from kaizen.sync.model import Span, Trajectory

PARIS = ("c1", "weather", '{"city": "Paris"}')
LONDON = ("c2", "weather", '{"city": "London"}')


def build(*spans: Span) -> Trajectory:
    trajectory = build_trajectory(trace(*spans))
    for messages in (trajectory.messages, *(side.messages for side in trajectory.side_conversations)):
        assert order_faults(messages) == []
    return trajectory


def test_calls_that_repeat_their_history_are_one_conversation() -> None:
    history = [system("Be brief."), user("Weather?")]
    trajectory = build(
        llm("a", history, says("", PARIS), at=0),
        llm("b", [*history, says("", PARIS), result("c1", "sunny")], "It is sunny.", at=2),
        llm(
            "c",
            [*history, says("", PARIS), result("c1", "sunny"), says("It is sunny."), user("Thanks")],
            "You are welcome.",
            at=4,
        ),
    )

    assert told(trajectory.messages) == [
        "system: Be brief.",
        "user: Weather?",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
        "assistant: It is sunny.",
        "user: Thanks",
        "assistant: You are welcome.",
    ]
    assert trajectory.side_conversations == ()
    assert [m.span_id for m in trajectory.messages] == ["a", "a", "a", "b", "b", "c", "c"]


def test_parallel_calls_and_results_are_paired_by_id() -> None:
    history = [user("Weather?"), says("Both.", PARIS, LONDON)]
    trajectory = build(
        llm("a", history[:1], history[1], at=0),
        llm("b", [*history, result("c2", "rain"), result("c1", "sunny")], "Mixed.", at=2),
    )

    assert [(m.role, m.tool_call_id, m.content) for m in trajectory.messages[1:4]] == [
        ("assistant", "", "Both."),
        ("tool", "c2", "rain"),
        ("tool", "c1", "sunny"),
    ]


def test_results_without_ids_are_paired_by_order() -> None:
    trajectory = build(
        llm(
            "a",
            [user("Weather?"), says("", PARIS, LONDON), result("", "sunny"), result("", "rain")],
            "Mixed.",
        ),
    )

    assert [(m.tool_call_id, m.content) for m in trajectory.messages[2:4]] == [
        ("c1", "sunny"),
        ("c2", "rain"),
    ]


def test_results_without_ids_are_paired_by_tool_name_before_order() -> None:
    news = ("c2", "news", "{}")
    given = [
        user("Well?"),
        says("", PARIS, news),
        result("", "none", name="news"),
        result("", "sunny", name="weather"),
    ]
    trajectory = build(llm("a", given, "Fine."))

    assert [(m.tool_call_id, m.content) for m in trajectory.messages[2:4]] == [
        ("c2", "none"),
        ("c1", "sunny"),
    ]


def test_calls_without_ids_get_ids_that_pair_them_with_their_results() -> None:
    nameless = says("", ("", "weather", '{"city": "Paris"}'), ("", "weather", '{"city": "London"}'))
    trajectory = build(llm("a", [user("?"), nameless, result("", "sunny"), result("", "rain")], "Mixed."))

    calls = trajectory.messages[1].tool_calls
    assert len({call.id for call in calls}) == 2
    assert [m.tool_call_id for m in trajectory.messages[2:4]] == [call.id for call in calls]


def test_arguments_that_come_back_reserialised_are_the_same_call() -> None:
    spaced = ("c1", "weather", '{"city": "Köln", "days": 2}')
    tight = ("c1", "weather", '{"days":2,"city":"K\\u00f6ln"}')
    trajectory = build(
        llm("a", [user("?")], says("", spaced), at=0),
        llm("b", [user("?"), says("", tight), result("c1", "rain")], says("", ("c2", "news", "{}")), at=2),
        llm(
            "c",
            [
                user("?"),
                says("", spaced),
                result("c1", "rain"),
                says("", ("c2", "news", "{ }")),
                result("c2", "none"),
            ],
            "Rain, no news.",
            at=4,
        ),
    )

    assert [m.role for m in trajectory.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert trajectory.side_conversations == ()


def test_nested_layers_of_one_call_are_one_call_and_its_tokens_count_once() -> None:
    outer = llm("outer", [user("Hi")], says("Hello", PARIS), at=0, ends=9, tokens=(10, 5), name="generate")
    middle = llm("middle", [user("Hi")], "Hello", at=1, ends=8, parent="outer", name="completion")
    inner = llm(
        "inner", [user("Hi")], "Hello", at=2, ends=7, parent="middle", tokens=(12, 5), name="ChatCompletion"
    )
    trajectory = build(outer, middle, inner)

    assert told(trajectory.messages) == ["user: Hi", 'assistant: Hello -> weather({"city": "Paris"})']
    assert trajectory.usage == Usage(prompt_tokens=12, completion_tokens=5)


def test_an_outer_layer_that_tells_nothing_is_filled_in_by_the_inner_one() -> None:
    outer = span("outer", "LLM", at=0, ends=9)
    inner = llm("inner", [user("Hi")], "Hello", at=1, ends=8, parent="outer")

    assert told(build(outer, inner).messages) == ["user: Hi", "assistant: Hello"]


def test_two_calls_in_one_outer_layer_count_as_one_call() -> None:
    outer = llm("outer", [user("Hi")], "Hello", at=0, ends=9, tokens=(10, 5))
    failed = llm("first", [user("Hi")], None, at=1, ends=2, parent="outer", error="RateLimitError: 429")
    retried = llm("second", [user("Hi")], "Hello", at=3, ends=4, parent="outer", tokens=(10, 5))
    trajectory = build(outer, failed, retried)

    assert told(trajectory.messages) == ["user: Hi", "assistant: Hello"]
    assert trajectory.usage == Usage(prompt_tokens=10, completion_tokens=5)
    assert trajectory.outcome.name == "unknown"
    assert any("429" in error for error in trajectory.errors)


def test_tokens_of_agent_spans_are_not_summed() -> None:
    agent = span("agent", "AGENT", ends=9, attributes={"llm.token_count.prompt": 500})
    trajectory = build(
        agent,
        llm("a", [user("Hi")], "Hello", at=1, parent="agent", tokens=(10, 5)),
        llm("b", [user("Hi"), says("Hello"), user("Bye")], "Bye", at=3, parent="agent", tokens=(20, 6)),
    )

    assert trajectory.usage == Usage(prompt_tokens=30, completion_tokens=11)


@pytest.mark.parametrize("count", [math.inf, math.nan, "12", None, True])
def test_token_counts_that_are_no_numbers_do_no_harm(count: Any) -> None:
    attributes = {"llm.token_count.prompt": count, "llm.token_count.completion": 3}

    assert build(llm("a", [user("Hi")], "Hello", attributes=attributes)).usage.completion_tokens == 3


def test_a_retry_after_a_failed_call_is_the_same_call() -> None:
    trajectory = build(
        llm("a", [user("Hi")], None, at=0, error="RateLimitError: 429"),
        llm("b", [user("Hi")], "Hello", at=2),
    )

    assert told(trajectory.messages) == ["user: Hi", "assistant: Hello"]
    assert trajectory.side_conversations == ()
    assert trajectory.errors == ("LLM LLM a: RateLimitError: 429",)
    assert trajectory.outcome.name == "unknown"


def test_a_retry_in_the_middle_of_a_run_goes_on_where_it_was() -> None:
    history = [user("?"), says("", PARIS), result("c1", "sunny")]
    trajectory = build(
        llm("a", history[:1], history[1], at=0),
        llm("b", history, None, at=2, error="Timeout"),
        llm("c", history, "Sunny.", at=4),
    )

    assert told(trajectory.messages) == [
        "user: ?",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
        "assistant: Sunny.",
    ]


def test_the_same_question_answered_twice_is_two_conversations() -> None:
    trajectory = build(llm("a", [user("Hi")], "Hello", at=0), llm("b", [user("Hi")], "Hi there", at=2))

    assert told(trajectory.messages) == ["user: Hi", "assistant: Hello"]
    assert [told(side.messages) for side in trajectory.side_conversations] == [
        ["user: Hi", "assistant: Hi there"]
    ]


def test_of_two_answers_to_one_question_the_one_that_comes_back_is_continued() -> None:
    trajectory = build(
        llm("a", [user("Hi")], "Hello", at=0),
        llm("b", [user("Hi")], "Hi there", at=2),
        llm("c", [user("Hi"), says("Hi there"), user("Bye")], "See you", at=4),
    )

    assert told(trajectory.messages) == ["user: Hi", "assistant: Hi there", "user: Bye", "assistant: See you"]
    assert [told(side.messages) for side in trajectory.side_conversations] == [
        ["user: Hi", "assistant: Hello"]
    ]


def test_a_handoff_keeps_the_conversation_and_shows_the_new_instructions() -> None:
    transfer = ("c1", "transfer_to_expert", "{}")
    trajectory = build(
        span("run", "AGENT", ends=20, name="Agent workflow"),
        span("first", "AGENT", parent="run", at=1, ends=5, attributes={"agent.name": "Triage"}),
        llm("a", [system("Triage."), user("Help")], says("", transfer), at=2, parent="first"),
        tool("t", "transfer_to_expert", {}, "expert", at=3, parent="first"),
        span("second", "AGENT", parent="run", at=6, ends=9, attributes={"agent.name": "Expert"}),
        llm(
            "b",
            [system("You are the expert."), user("Help"), says("", transfer), result("c1", "expert")],
            "Done.",
            at=7,
            parent="second",
        ),
    )

    assert told(trajectory.messages) == [
        "system: Triage.",
        "user: Help",
        "assistant:  -> transfer_to_expert({})",
        "tool: expert",
        "system: You are the expert.",
        "assistant: Done.",
    ]


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_call_whose_older_history_was_cut_continues_its_conversation(kept: int) -> None:
    history = [user("one"), says("1"), user("two"), says("2"), user("three")]
    after = [*history[-kept:], says("", PARIS), result("c1", "sunny")]
    trajectory = build(
        llm("a", history, says("", PARIS), at=0),
        llm("b", after, "Sunny.", at=2),
        llm("c", [*after, says("Sunny."), user("Thanks")], "Bye.", at=4),
    )

    assert told(trajectory.messages)[4:] == [
        "user: three",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
        "assistant: Sunny.",
        "user: Thanks",
        "assistant: Bye.",
    ]
    assert trajectory.side_conversations == ()


def test_a_title_generator_does_not_replace_the_real_work() -> None:
    history = [system("Agent."), user("Weather?")]
    trajectory = build(
        llm("a", history, says("", PARIS), at=0),
        llm("b", [*history, says("", PARIS), result("c1", "sunny")], "Sunny.", at=2),
        llm("z", [system("Write a title."), user("Weather?")], "Weather", at=4),
    )

    assert told(trajectory.messages)[-1] == "assistant: Sunny."
    assert [told(side.messages) for side in trajectory.side_conversations] == [
        ["system: Write a title.", "user: Weather?", "assistant: Weather"]
    ]


def sub_agent_run(*, below: str) -> list[Span]:
    """A manager that asks a sub-agent, whose own conversation is the longer one."""
    ask = ("m1", "searcher", '{"task": "find"}')
    sub = [user("find")]
    spans = [
        span("root", "AGENT", ends=50, name="Manager.run", attributes={"output.value": "The final answer."}),
        llm("m-1", [system("Manage."), user("Do it")], says("", ask), at=1, parent="root"),
    ]
    if below == "tool":
        spans.append(tool("call", "searcher", {"task": "find"}, "found it", at=3, ends=40, parent="root"))
    parent = "call" if below == "tool" else "root"
    spans.append(
        span(
            "sub",
            "AGENT",
            at=4,
            ends=39,
            parent=parent,
            name="Searcher.run",
            attributes={"agent.name": "searcher"},
        )
    )
    for number in range(4):
        look = (f"s{number}", "look", json.dumps({"page": number}))
        spans.append(llm(f"s-{number}", sub, says("", look), at=5 + 2 * number, parent="sub"))
        sub = [*sub, says("", look), result(f"s{number}", f"page {number}")]
    spans.append(llm("s-end", sub, "found it", at=20, parent="sub"))
    given = [system("Manage."), user("Do it"), says("", ask), result("m1", "found it")]
    spans.append(llm("m-2", given, says("", ("m2", "final_answer", "{}")), at=42, parent="root"))
    return spans


@pytest.mark.parametrize("below", ["tool", "agent"])
def test_a_sub_agent_that_talks_more_than_its_manager_stays_aside(below: str) -> None:
    trajectory = build(*sub_agent_run(below=below))

    assert told(trajectory.messages) == [
        "system: Manage.",
        "user: Do it",
        'assistant:  -> searcher({"task": "find"})',
        "tool: found it",
        "assistant:  -> final_answer({})",
        "assistant: The final answer.",
    ]
    [side] = trajectory.side_conversations
    assert side.name == "searcher"
    assert len(side.messages) == 10


def test_model_calls_inside_a_tool_stay_aside_without_any_agent_span() -> None:
    inner = [user("Summarise"), says("Which part?"), user("All of it"), says("Ok"), user("Go on")]
    trajectory = build(
        llm("a", [user("Read it")], says("", ("c1", "read", "{}")), at=0),
        tool("t", "read", {}, "a summary", at=2, ends=8),
        llm("i", inner, "a summary", at=3, parent="t"),
        llm("b", [user("Read it"), says("", ("c1", "read", "{}")), result("c1", "a summary")], "Done", at=9),
    )

    assert told(trajectory.messages)[0] == "user: Read it"
    assert len(trajectory.side_conversations) == 1


def test_parallel_sub_agents_get_the_results_of_their_own_tools() -> None:
    spans = [span("root", "AGENT", ends=50)]
    for name in ("one", "two"):
        spans += [
            span(name, "AGENT", at=1, ends=20, parent="root", attributes={"agent.name": name}),
            llm(
                f"{name}-llm",
                [user(f"I am {name}")],
                says("", (f"{name}-c", "whoami", "{}")),
                at=2,
                parent=name,
            ),
        ]
    # in the other order, so that taking the first one would be wrong
    spans += [
        tool("a-two", "whoami", {}, "you are two", at=3, parent="two"),
        tool("b-one", "whoami", {}, "you are one", at=4, parent="one"),
    ]
    trajectory = build(*spans)

    conversations = [trajectory.messages, *(side.messages for side in trajectory.side_conversations)]
    assert sorted(told(messages)[::2] for messages in conversations) == [
        ["user: I am one", "tool: you are one"],
        ["user: I am two", "tool: you are two"],
    ]


def test_tool_spans_fill_in_the_results_that_messages_lack() -> None:
    trajectory = build(
        span("root", "AGENT", ends=9),
        llm("a", [user("?")], says("", PARIS, LONDON), at=1, parent="root"),
        tool("t2", "weather", {"city": "London"}, "rain", at=2, parent="root"),
        tool("t1", "weather", {"city": "Paris"}, "sunny", at=3, parent="root"),
    )

    assert [(m.tool_call_id, m.content, m.span_id) for m in trajectory.messages[2:]] == [
        ("c1", "sunny", "t1"),
        ("c2", "rain", "t2"),
    ]


def test_arguments_of_a_tool_span_may_be_wrapped_as_smolagents_does() -> None:
    wrapped = {"args": [], "sanitize_inputs_outputs": True, "kwargs": {"city": "London"}}
    trajectory = build(
        llm("a", [user("?")], says("", PARIS, LONDON)),
        tool("t2", "weather", wrapped, "rain", at=2),
    )

    assert [(m.tool_call_id, m.content) for m in trajectory.messages[2:]] == [("c2", "rain")]


def test_an_error_that_the_framework_hides_from_the_model_is_told() -> None:
    hidden = "An error occurred while running the tool."
    trajectory = build(
        llm("a", [user("?")], says("", PARIS), at=0),
        tool("t", "weather", {"city": "Paris"}, hidden, at=2, error="KeyError: 'Paris'"),
        llm("b", [user("?"), says("", PARIS), result("c1", hidden)], "Sorry.", at=4),
    )

    assert trajectory.messages[2].content == f"{hidden}\n[error: KeyError: 'Paris']"
    assert trajectory.errors == ()


def test_a_tool_that_raised_without_output_still_has_a_result() -> None:
    trajectory = build(
        llm("a", [user("?")], says("", PARIS), at=0),
        tool("t", "weather", {"city": "Paris"}, at=2, exception=("ValueError", "unknown city")),
    )

    assert trajectory.messages[-1].role == "tool"
    assert trajectory.messages[-1].content == "[error: ValueError: unknown city]"


def test_an_error_that_the_model_saw_is_not_repeated() -> None:
    seen = "Error: ValueError: unknown city"
    trajectory = build(
        llm("a", [user("?")], says("", PARIS), at=0),
        tool("t", "weather", {"city": "Paris"}, at=2, error="ValueError: unknown city"),
        llm("b", [user("?"), says("", PARIS), result("c1", seen)], "Sorry.", at=4),
    )

    assert trajectory.messages[2].content == seen
    assert trajectory.errors == ()


def smol_error_step() -> list[Span]:
    """A step whose tool raised: smolagents' memory keeps the error and loses the call."""
    error = "Error:\nError executing tool 'weather': ValueError: unknown city"
    second = ("c2", "weather", '{"city": "Paris"}')
    given = [user("?"), {"role": "tool-response", "content": error}]
    return [
        span("root", "AGENT", ends=20, attributes={"output.value": "sunny"}),
        span("step", "CHAIN", at=1, ends=4, parent="root", error="AgentToolExecutionError: unknown city"),
        llm("a", [user("?")], says("", ("c1", "weather", '{"city": "Atlantis"}')), at=2, parent="step"),
        tool("t1", "weather", {"city": "Atlantis"}, at=3, parent="step", error="ValueError: unknown city"),
        llm("b", given, says("", second), at=6, parent="root"),
        tool("t2", "weather", {"city": "Paris"}, "sunny", at=8, parent="root"),
    ]


def test_a_call_that_smolagents_lost_is_known_from_the_answer_before() -> None:
    trajectory = build(*smol_error_step())

    assert told(trajectory.messages) == [
        "user: ?",
        'assistant:  -> weather({"city": "Atlantis"})',
        "tool: Error:\nError executing tool 'weather': ValueError: unknown city",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
    ]
    assert trajectory.outcome.name == "unknown"


def test_code_that_smolagents_ran_is_a_call_of_the_text_before() -> None:
    text = "Thought: look.\n<code>\nprint(weather('Paris'))\n</code>"
    calls = [
        {"id": "call_1", "function": {"name": "python_interpreter", "arguments": "print(weather('Paris'))"}}
    ]
    given = [
        user("?"),
        says(text),
        {"role": "tool-call", "content": f"Calling tools:\n{calls!r}"},
        {"role": "tool-response", "content": "Observation:\nExecution logs:\nsunny"},
    ]
    trajectory = build(llm("a", [user("?")], text, at=0), llm("b", given, "final_answer('sunny')", at=2))

    assert told(trajectory.messages) == [
        "user: ?",
        f"assistant: {text} -> python_interpreter(print(weather('Paris')))",
        "tool: Execution logs:\nsunny",
        "assistant: final_answer('sunny')",
    ]


def test_an_answer_that_only_the_root_tells_is_the_end() -> None:
    root = span("root", "AGENT", ends=9, attributes={"output.value": "42"})
    trajectory = build(root, llm("a", [user("?")], "final_answer(6 * 7)", at=1, parent="root"))

    assert told(trajectory.messages)[-1] == "assistant: 42"
    assert trajectory.messages[-1].span_id == "root"


def test_an_answer_that_was_already_given_is_not_repeated() -> None:
    root = span("root", "AGENT", ends=9, attributes={"output.value": " sunny "})
    trajectory = build(root, llm("a", [user("?")], "It is sunny.", at=1, parent="root"))

    assert told(trajectory.messages) == ["user: ?", "assistant: It is sunny."]


def test_the_state_that_a_graph_leaves_on_its_root_is_no_answer() -> None:
    state = json.dumps({"messages": [user("?"), says("It is sunny.")]})
    root = span(
        "root", "CHAIN", ends=9, attributes={"output.value": state, "output.mime_type": "application/json"}
    )
    trajectory = build(root, llm("a", [user("?")], "It is sunny.", at=1, parent="root"))

    assert told(trajectory.messages) == ["user: ?", "assistant: It is sunny."]


def response_call(
    span_id: str, given: list[dict[str, Any]], answer: Any, *, after: str | None, at: float
) -> Span:
    value = {"object": "response", "id": f"resp_{span_id}", "previous_response_id": after, "output": []}
    return llm(span_id, given, answer, at=at, attributes={"output.value": json.dumps(value)})


def test_a_response_that_is_given_only_tool_results_continues_its_conversation() -> None:
    trajectory = build(
        response_call("a", [system("Brief."), user("?")], says("", PARIS), after=None, at=0),
        response_call("b", [system("Brief."), result("c1", "sunny")], "Sunny.", after="resp_a", at=2),
    )

    assert told(trajectory.messages) == [
        "system: Brief.",
        "user: ?",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
        "assistant: Sunny.",
    ]


def test_a_response_that_is_given_only_the_next_question_continues_its_conversation() -> None:
    trajectory = build(
        response_call("a", [user("Hi")], "Hello", after=None, at=0),
        response_call("x", [user("Title?")], "Greeting", after=None, at=1),
        response_call("b", [user("Bye")], "See you", after="resp_a", at=2),
        response_call("c", [user("Really")], "Yes", after="resp_b", at=4),
    )

    assert told(trajectory.messages) == [
        "user: Hi",
        "assistant: Hello",
        "user: Bye",
        "assistant: See you",
        "user: Really",
        "assistant: Yes",
    ]
    assert len(trajectory.side_conversations) == 1


def test_session_models_and_tools_are_kept() -> None:
    attributes = {"session.id": "s-1", "llm.tools.0.tool.json_schema": '{"name": "weather"}'}
    trajectory = build(
        llm("a", [user("Hi")], "Hello", attributes=attributes),
        llm("b", [user("Hi"), says("Hello"), user("Bye")], "Bye", at=2, attributes=attributes),
    )

    assert (trajectory.session_id, trajectory.models, trajectory.tools) == (
        "s-1",
        ("gpt-4o",),
        ('{"name": "weather"}',),
    )


def test_a_root_that_ended_in_an_error_is_a_failure() -> None:
    root = span("root", "AGENT", ends=9, name="agent", error="ValueError: gave up")
    trajectory = build(root, llm("a", [user("?")], "Hm.", at=1, parent="root"))

    outcome = trajectory.outcome
    assert (outcome.name, outcome.judged_by, outcome.detail) == (
        "failure",
        "status of AGENT span 'agent'",
        "ValueError: gave up",
    )
    assert trajectory.errors == ("AGENT agent: ValueError: gave up",)


def test_an_agent_that_failed_below_a_root_that_is_ok_is_a_failure() -> None:
    trajectory = build(
        span("root", "AGENT", ends=20, name="Agent workflow"),
        span("agent", "AGENT", at=1, ends=19, parent="root", name="Helper", error="Max turns exceeded"),
        llm("a", [user("?")], says("", PARIS), at=2, parent="agent"),
        tool("t", "weather", {"city": "Paris"}, "sunny", at=4, parent="agent"),
    )

    assert trajectory.outcome.name == "failure"
    assert trajectory.outcome.detail == "Max turns exceeded"


def test_a_run_whose_last_model_call_failed_is_a_failure() -> None:
    trajectory = build(
        span("root", "AGENT", ends=20),
        llm("a", [user("?")], says("", PARIS), at=1, parent="root"),
        llm("b", [user("?"), says("", PARIS), result("c1", "sunny")], None, at=4, parent="root", error="429"),
    )

    assert (trajectory.outcome.name, trajectory.outcome.detail) == ("failure", "429")
    assert told(trajectory.messages)[-1] == "tool: sunny"


def test_a_sub_agent_that_failed_does_not_fail_a_run_that_went_on() -> None:
    ask = ("m1", "helper", "{}")
    trajectory = build(
        span("root", "AGENT", ends=50),
        llm("a", [user("?")], says("", ask), at=1, parent="root"),
        tool("t", "helper", {}, "Error: no help", at=3, ends=9, parent="root"),
        span("sub", "AGENT", at=4, ends=8, parent="t", error="no help"),
        llm(
            "b",
            [user("?"), says("", ask), result("m1", "Error: no help")],
            "Did it myself.",
            at=12,
            parent="root",
        ),
    )

    assert trajectory.outcome.name == "unknown"


def test_a_step_that_failed_does_not_fail_a_run_whose_agent_span_is_missing() -> None:
    spans = [one for one in smol_error_step() if one.span_id != "root"]

    assert build(*spans).outcome.name == "unknown"


def test_a_step_that_raised_without_an_agent_span_is_a_failure() -> None:
    trajectory = build(
        span("step", "CHAIN", at=1, ends=4, parent="lost", name="Step 1", error="AgentGenerationError: 400"),
        llm("a", [user("?")], None, at=2, parent="step", error="BadRequestError: 400"),
    )

    assert trajectory.outcome.judged_by == "status of CHAIN span 'Step 1'"


@pytest.mark.parametrize("length", [1, 2, 5])
def test_parents_that_form_a_circle_do_not_hang(length: int) -> None:
    spans = [
        llm(f"s{n}", [user(f"Hi {n}")], f"Hello {n}", at=n, parent=f"s{(n + 1) % length}")
        for n in range(length)
    ]
    spans += [span(f"a{n}", "AGENT", parent=f"a{(n + 1) % length}") for n in range(length)]
    spans.append(llm("in", [user("Inside")], "Yes", at=9, parent="a0"))

    assert build(*spans).messages


def test_spans_whose_parent_is_missing_are_read_all_the_same() -> None:
    trajectory = build(
        llm("a", [user("?")], says("", PARIS), at=0, parent="gone"),
        tool("t", "weather", {"city": "Paris"}, "sunny", at=2, parent="gone"),
        llm("b", [user("?"), says("", PARIS), result("c1", "sunny")], "Sunny.", at=4, parent="gone too"),
    )

    assert told(trajectory.messages)[-2:] == ["tool: sunny", "assistant: Sunny."]


def test_a_trace_without_model_call_says_so() -> None:
    with pytest.raises(UnknownShapeError, match=NO_LLM_SPAN):
        build_trajectory(trace(span("a", "AGENT"), tool("t", "weather")))
    with pytest.raises(UnknownShapeError, match=NO_LLM_SPAN):
        build_trajectory(Trace(trace_id="empty", spans=()))


def test_an_unknown_shape_names_the_attributes_it_saw() -> None:
    attributes = {"odd.prompt": "Hi", "odd.completion": "Hello"}

    with pytest.raises(UnknownShapeError) as caught:
        build_trajectory(trace(span("a", "LLM", attributes=attributes)))

    assert str(caught.value) == "unknown shape: odd.completion, odd.prompt"


def test_an_unknown_shape_with_very_many_attributes_is_told_in_short() -> None:
    attributes = {f"odd.{number:03}": 1 for number in range(500)}

    with pytest.raises(UnknownShapeError, match="and 480 more"):
        build_trajectory(trace(span("a", "LLM", attributes=attributes)))


def test_a_failed_call_that_tells_no_messages_is_no_unknown_shape() -> None:
    failed = span("a", "LLM", error="Error getting response: 429", attributes={"llm.system": "openai"})

    with pytest.raises(
        UnknownShapeError, match="no messages, only failed model calls: Error getting response: 429"
    ):
        build_trajectory(trace(span("root", "AGENT"), failed))


def test_values_nested_without_end_skip_the_trace() -> None:
    attributes = {
        "input.value": "[" * 100_000,
        "output.value": '{"a":' * 100_000,
        "output.mime_type": "application/json",
    }

    with pytest.raises(UnknownShapeError):
        build_trajectory(trace(span("a", "LLM", attributes=attributes)))


def test_many_separate_calls_in_one_trace_take_no_quadratic_time() -> None:
    spans = [llm(f"s{n:05}", [system("Classify."), user(f"Item {n}")], "yes", at=n) for n in range(1_500)]

    with cpu_time(below_s=10):
        trajectory = build(*spans)

    assert len(trajectory.side_conversations) == 1_499


def recorded(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json")) if folder.is_dir() else []


def assert_readable(path: Path) -> None:
    """Every trace of a dump of the four frameworks: read, in valid order, its tokens counted once."""
    for one in load_traces(path):
        if tells_no_message(one):
            continue
        trajectory = build_trajectory(one)
        for messages in (trajectory.messages, *(side.messages for side in trajectory.side_conversations)):
            faults = order_faults(messages)
            assert faults == [] or is_fragment(one), f"{path.name} {one.trace_id}: {faults}"
        assert trajectory.usage.prompt_tokens <= total_tokens(one)


def tells_no_message(one: Trace) -> bool:
    """A run of openai-agents whose only model call failed; that instrumentor records no input then."""
    return all(
        s.status == "ERROR" and "input.value" not in s.attributes for s in one.spans if s.kind == "LLM"
    )


def is_fragment(one: Trace) -> bool:
    """A call of the Responses API whose history is in another trace."""
    return "previous_response_id" in str(one.spans[0].attributes.get("llm.invocation_parameters"))


def total_tokens(one: Trace) -> int:
    return sum(s.attributes.get("llm.token_count.prompt", 0) for s in one.spans if s.kind == "LLM")


def test_recorded_runs_of_the_four_frameworks_are_valid_conversations(shared_data: Path) -> None:
    dumps = recorded(shared_data / "spans" / "phoenix_dumps")

    assert len(dumps) >= 8
    for path in dumps:
        assert_readable(path)


def test_our_own_recordings_are_valid_conversations(repository: Path) -> None:
    dumps = recorded(repository / "tests" / "data" / "phoenix")

    assert len(dumps) >= 8
    for path in dumps:
        assert_readable(path)


def ending(repository: Path, dump: str) -> Trajectory:
    """The trajectory of the last trace of one of our own dumps: the longest, where each call is a trace."""
    traces = load_traces(repository / "tests" / "data" / "phoenix" / f"{dump}.json")
    return build_trajectory(max(traces, key=lambda one: one.spans[-1].end_time))


@pytest.mark.parametrize(
    ("dump", "calls", "end"),
    [
        ("openai", ["find_trains", "find_trains", "book_train"], "The booking code is K7QX2."),
        (
            "litellm",
            ["list_invoices", "file_total", "list_invoices", "list_invoices", "list_invoices", "file_total"],
            "its receipt is F-88.",
        ),
        (
            "smolagents",
            ["look_up_product", "quote_shipping", "quote_shipping", "final_answer"],
            "costs 22.00 EUR.",
        ),
        (
            "openai_agents",
            ["service_status", "service_status", "restart_service", "drain_service", "restart_service"],
            "checkout was fine and is untouched.",
        ),
    ],
)
def test_a_recorded_run_keeps_every_call_its_result_and_the_end(
    repository: Path, dump: str, calls: list[str], end: str
) -> None:
    trajectory = ending(repository, dump)

    made = [call for message in trajectory.messages for call in message.tool_calls]
    answered = [message.tool_call_id for message in trajectory.messages if message.role == "tool"]
    assert [call.name for call in made] == calls
    assert sorted(call.id for call in made) == sorted(answered)
    assert trajectory.messages[-1].content.endswith(end)
    assert trajectory.errors == ()
    assert trajectory.outcome.name == "unknown"
    assert trajectory.side_conversations == ()


@pytest.mark.parametrize(
    ("dump", "judged_by"),
    [
        ("openai_failed", "LLM span 'ChatCompletion'"),
        ("litellm_failed", "LLM span 'completion'"),
        ("smolagents_failed", "CHAIN span 'Step 3'"),
        ("openai_agents_failed", "AGENT span 'On-call engineer'"),
    ],
)
def test_a_recorded_failure_is_told_by_the_error_that_ended_it(
    repository: Path, dump: str, judged_by: str
) -> None:
    trajectory = ending(repository, dump)

    assert trajectory.outcome.name == "failure"
    assert trajectory.outcome.judged_by == f"status of {judged_by}"
    assert "Scripted failure 400" in trajectory.outcome.detail
    assert sum("Scripted failure 400" in error for error in trajectory.errors) == 1


def test_an_error_in_a_dict_of_openai_agents_is_not_repeated(repository: Path) -> None:
    texts = [message.content for message in ending(repository, "openai_agents").messages]

    assert sum("payments has 17 jobs in progress" in text for text in texts) == 1
    assert not any("[error:" in text for text in texts)


@pytest.mark.parametrize(
    ("dump", "lines"),
    [
        (
            "openai_agents_stream",
            [
                "system: You are a weather assistant.",
                "user: Weather stream?",
                'assistant:  -> get_weather({"city": "Paris"})',
                "tool: Paris: 21C, sunny",
                "assistant: It is 21C and sunny in Paris.",
            ],
        ),
        (
            "openai_agents_responses",
            [
                "system: You are a weather assistant.",
                "user: Weather in Paris?",
                'assistant:  -> get_weather({"city": "Paris"})',
                "tool: Paris: 21C, sunny",
                "assistant: It is 21C and sunny in Paris.",
            ],
        ),
    ],
)
def test_recorded_runs_read_as_they_went(shared_data: Path, dump: str, lines: list[str]) -> None:
    first = load_traces(shared_data / "spans" / "phoenix_dumps" / f"{dump}.json")[0]

    assert told(build_trajectory(first).messages) == lines


def test_recorded_errors_are_failures_only_where_the_run_did_not_go_on(shared_data: Path) -> None:
    outcomes = {}
    for dump in ("openai_agents_chat", "smol_tool_litellm", "smol_code_openai"):
        for one in load_traces(shared_data / "spans" / "phoenix_dumps" / f"{dump}.json"):
            trajectory = build_trajectory(one)
            question = next(m.content for m in trajectory.messages if m.role == "user")
            outcomes[dump, question.removeprefix("New task:\n")] = trajectory.outcome.name

    assert outcomes == {
        ("openai_agents_chat", "Weather in Paris?"): "unknown",
        ("openai_agents_chat", "Weather TWO?"): "unknown",
        ("openai_agents_chat", "Weather TOOLERR?"): "unknown",
        ("openai_agents_chat", "FAIL429"): "failure",
        ("openai_agents_chat", "Weather stream?"): "failure",
        ("smol_tool_litellm", "Weather in Paris?"): "unknown",
        ("smol_tool_litellm", "Weather TOOLERR?"): "unknown",
        ("smol_tool_litellm", "FAIL400 now"): "failure",
        ("smol_code_openai", "Weather in Paris?"): "unknown",
        ("smol_code_openai", "Weather TOOLERR?"): "unknown",
        ("smol_code_openai", "FAIL400 now"): "failure",
    }


def test_spans_of_any_other_stack_are_read_or_skipped_but_never_fatal(shared_data: Path) -> None:
    read = skipped = 0
    for path in sorted((shared_data / "spans").rglob("*.json*")):
        if path.parent.name in ("genai_schemas", "replay_retail", "spans"):
            continue
        for one in load_traces(path):
            try:
                build_trajectory(one)
                read += 1
            except UnknownShapeError:
                skipped += 1

    assert read > 100
    assert skipped > 0


def long_run(turns: int) -> list[Span]:
    """A run that calls one tool again and again, all of it repeated in each model call."""
    history = [user("Count.")]
    spans = [span("run", "AGENT", ends=2 * turns + 2)]
    for n in range(turns):
        asked = says("", (f"c{n}", "count", json.dumps({"to": n})))
        spans.append(llm(f"m{n:05}", history, asked, at=2 * n, parent="run"))
        spans.append(tool(f"t{n:05}", "count", {"to": n}, f"{n}", at=2 * n + 1, parent="run"))
        history = [*history, asked, result(f"c{n}", f"{n}")]
    return spans


def lines_run(spans: list[Span]) -> int:
    """How many lines run while a trajectory is built: a measure that no other process disturbs."""
    lines = 0

    def count(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        build_trajectory(trace(*spans))
    finally:
        sys.settrace(before)
    return lines


def test_a_long_conversation_takes_as_much_work_as_its_spans_hold() -> None:
    short, long = long_run(15), long_run(60)
    held = [sum(len(s.attributes) for s in spans) for spans in (short, long)]

    assert lines_run(long) / lines_run(short) < 1.2 * held[1] / held[0]


def test_many_tool_calls_without_ids_are_paired_without_looking_at_each_other() -> None:
    def run(count: int) -> list[Span]:
        calls = [(f"c{n}", "look", json.dumps({"n": n})) for n in range(count)]
        tools = [tool(f"t{n:04}", "look", {"n": n}, f"{n}", at=n + 1, parent="run") for n in range(count)]
        asked = llm("a", [user("All of them.")], says("", *calls), parent="run")
        return [span("run", "AGENT", ends=count + 9), asked, *tools]

    assert lines_run(run(400)) < 4.5 * lines_run(run(100))
    results = [m.content for m in build(*run(400)).messages if m.role == "tool"]
    assert results == [str(n) for n in range(400)]


def test_a_run_seen_from_the_users_side_ends_with_what_the_user_said() -> None:
    root = span("root", "AGENT", ends=9, attributes={"input.value": "How can I help?", "output.value": "Bye"})
    given = [system("Be kind."), says("How can I help?"), user("Thanks")]

    trajectory = build(
        root,
        llm("a", given[:1], "How can I help?", at=1, parent="root"),
        llm("b", given, "You are welcome.", at=3, parent="root"),
    )

    assert told(trajectory.messages)[1:] == [
        "assistant: How can I help?",
        "user: Thanks",
        "assistant: You are welcome.",
        "user: Bye",
    ]
    assert trajectory.side_conversations == ()


def test_an_inner_layer_that_knows_calls_only_as_text_does_not_replace_the_outer_one() -> None:
    text = says("Calling tools: weather(Paris)")
    outer = llm(
        "outer", [user("?"), says("", PARIS), result("c1", "sunny")], "Sunny.", ends=9, name="generate"
    )
    inner = llm("inner", [user("?"), text, user("Observation: sunny")], "Sunny.", at=1, parent="outer")

    assert told(build(outer, inner).messages) == [
        "user: ?",
        'assistant:  -> weather({"city": "Paris"})',
        "tool: sunny",
        "assistant: Sunny.",
    ]


def test_what_the_innermost_layer_was_answered_is_believed() -> None:
    outer = llm("outer", [user("?")], "sunny, as text", ends=9, tokens=(10, 5))
    inner = llm("inner", [user("?")], "Sunny.", at=1, parent="outer", tokens=(12, 5))

    assert told(build(outer, inner).messages) == ["user: ?", "assistant: Sunny."]


def test_a_result_has_the_name_of_the_tool_that_gave_it() -> None:
    trajectory = build(llm("a", [user("?"), says("", PARIS), result("", "sunny")], "Sunny."))

    assert [m.name for m in trajectory.messages] == ["", "", "weather", ""]


ODD_JSON = [
    '[{"role": "user", "parts": [{"type": ["x"]}, {"type": "blob", "content": {}}, 7]}]',
    '[{"role": "assistant", "content": [{"type": "tool_use", "input": 1}, {"type": {"a": 1}}]}]',
    '[{"role": "tool", "parts": [{"type": "tool_call_response", "response": 0}]}]',
    '{"messages": [[{"lc": 1, "kwargs": {"type": "ai", "tool_calls": [1, {}]}}, {"lc": 1}]]}',
    '{"args": [[{"role": "tool-call", "content": [{"type": "text", "text": "Calling tools: [1]"}]}]]}',
    '{"args": []}',
    '{"generations": [[{"message": 3}]], "lc": 1}',
    '[{"tool.name": ["x"], "tool.args": 3}]',
    "[{'role': 'user', 'content': {1: 2}}, 3]",
    '{"prompt": [{"role": 1}], "messages": 3}',
]
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["assistant", "user", "tool", "tool-call", "Calling tools: [{}]", '{"messages": [{}]}']),
    st.sampled_from(ODD_JSON),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["role", "content", "text"]), st.text(max_size=3), max_size=2),
)
ODD_KEYS = st.sampled_from(
    [
        "ai.operationId",
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.toolCalls",
        "ai.toolCall.name",
        "gen_ai.completion.0.content",
        "gen_ai.input.messages",
        "gen_ai.operation.name",
        "gen_ai.output",
        "gen_ai.output.messages",
        "gen_ai.prompt.0.tool_calls.0.arguments",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "llm.input_messages.0.function.0",
        "llm.openai.choices",
        "llm.openai.messages",
        "llm.output_messages",
        "llm.output_messages.0.message.contents.0.message_content.type",
        "llm.prompts",
        "pydantic_ai.all_messages",
        "input.value",
        "output.value",
        "output.mime_type",
        "tool.name",
        "agent.name",
        "session.id",
        "llm.model_name",
        "llm.token_count.prompt",
        "llm.invocation_parameters",
        "llm.tools.0.tool.json_schema",
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.content",
        "llm.input_messages.0.message.contents.0.message_content.text",
        "llm.input_messages.0.message.tool_calls.0.tool_call.function.name",
        "llm.output_messages.0.message.role",
        "llm.output_messages.0.message.content",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id",
    ]
)
ODD_SPANS = st.lists(
    st.builds(
        span,
        st.sampled_from("abcd"),
        st.sampled_from(["LLM", "TOOL", "AGENT", "CHAIN", "UNKNOWN"]),
        at=st.integers(0, 5),
        parent=st.sampled_from([None, "a", "b", "c", "gone"]),
        error=st.sampled_from(["", "boom", "Error: {'error': 'x'}", "Error: {"]),
        name=st.sampled_from(["raw_gen_ai_request", "litellm_request", "ClaudeAgentSDK.query", "x"]),
        attributes=st.dictionaries(ODD_KEYS, ODD_VALUES, max_size=10),
    ),
    max_size=4,
    unique_by=lambda one: one.span_id,
)


@given(ODD_SPANS)
@example([span("a", "LLM", attributes={"ai.prompt": "hello", "ai.response.toolCalls": "1"})])
@settings(max_examples=100, deadline=None)
def test_any_spans_are_read_or_skipped_but_never_fatal(spans: list[Span]) -> None:
    try:
        trajectory = build_trajectory(trace(*spans))
    except UnknownShapeError:
        return
    assert trajectory.messages
    Redactor().trajectory(trajectory)
    json.dumps([message.to_json() for message in trajectory.all_messages()])
