"""Tips from one trajectory, worded by the scripted model."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import OFFLINE, ModelError, ModelSettings
from kaizen.sync.errors import ModelUnavailableError, PromptTooLongError
from kaizen.sync.generate.checks import Generated, retells
from kaizen.sync.generate.condense import estimated_tokens
from kaizen.sync.generate.generate import generate_tips, input_tokens
from kaizen.sync.generate.grounding import quoted_span
from kaizen.sync.llm.client import Model
from kaizen.sync.model import Conversation, Message, ToolCall, Trajectory
from kaizen.tips.text import fold

MODEL = "openai/gpt-4.1-mini"

TIP = {
    "content": "Pass the city in English.",
    "category": "recovery",
    "rationale": "The tool knows no other names.",
    "trigger": "When the tool answers unknown city.",
    "implementation_steps": ["Translate the name.", "Call again."],
    "task_description": "Weather questions.",
    "quote": "unknown city",
}


@pytest.fixture
def model() -> Model:
    return Model(MODEL, ModelSettings(timeout_s=10, attempts=1))


def answers(server: ModelServer, *tips: dict[str, Any]) -> None:
    """Let the model give these tips for any run."""
    rules = [{"pattern": "</run>", "answer": tip} for tip in tips]
    server.scenarios = Scenarios.from_json({"tips": rules})


def run(*messages: Message, **more: Any) -> Trajectory:
    return Trajectory(trace_id="t", messages=messages or (Message(role="user", content="Hi"),), **more)


def test_a_tip_is_given_as_the_model_worded_it_without_white_space_around(
    server: ModelServer, model: Model
) -> None:
    padded = {
        key: f"  {value}\n" for key, value in TIP.items() if isinstance(value, str) and key != "category"
    }
    answers(server, {**TIP, **padded, "implementation_steps": [" Translate the name. ", "  ", "Call again."]})

    [tip] = generate_tips(run(), model).tips

    assert tip.content == TIP["content"]
    assert tip.category == "recovery"
    assert tip.implementation_steps == ("Translate the name.", "Call again.")
    assert (tip.trigger, tip.quote) == (TIP["trigger"], "unknown city")


def test_the_model_is_shown_the_run_and_asked_by_schema(server: ModelServer, model: Model) -> None:
    generate_tips(run(Message(role="user", content="Weather in Köln?")), model)

    [request] = server.requests
    assert request.schema_name == "kaizen_tips"
    assert "Weather in Köln?" in request.body["messages"][-1]["content"]
    assert request.body["response_format"]["json_schema"]["strict"] is True


def test_no_tips_is_an_answer(server: ModelServer, model: Model) -> None:
    assert generate_tips(run(), model) == Generated()
    assert len(server.requests) == 1


def test_one_lesson_in_two_spellings_is_one_tip(server: ModelServer, model: Model) -> None:
    answers(
        server, TIP, {**TIP, "content": "pass the  CITY in English!"}, {**TIP, "content": "Something else."}
    )

    generated = generate_tips(run(), model)

    assert [tip.content for tip in generated.tips] == ["Pass the city in English.", "Something else."]
    assert generated.dropped == {"repeats another": 1}


def test_a_tip_without_content_is_none(server: ModelServer, model: Model) -> None:
    answers(server, {**TIP, "content": " \n"})

    assert generate_tips(run(), model) == Generated(dropped=Counter(empty=1))


def test_a_tip_names_the_steps_that_there_are_and_the_one_with_its_quote(
    server: ModelServer, model: Model
) -> None:
    told = run(*(Message(role="tool", content=text) for text in ("a", "b", "unknown city", "d")))
    for given, steps in [
        ([4, 2], (2, 3, 4)),
        ([0, 99, 3], (3,)),
        ([], (3,)),
        (["2", "x", None, -1, 10**20], (2, 3)),
        ("1", (1, 3)),
    ]:
        answers(server, {**TIP, "steps": given})
        [tip] = generate_tips(told, model).tips
        assert tip.steps == steps
    answers(server, {**TIP, "quote": "nowhere"})
    [tip] = generate_tips(told, model).tips
    assert tip.steps == ()


def test_a_quote_without_end_is_cut_where_it_is_still_one(server: ModelServer, model: Model) -> None:
    told = run(Message(role="tool", content="so " * 2_000, span_id="s"))
    answers(server, {**TIP, "quote": "so " * 1_500})
    [tip] = generate_tips(told, model).tips

    assert len(tip.quote) <= 1_000
    assert quoted_span(told, tip.quote) == "s"


def test_a_prompt_that_is_too_long_for_the_model_is_shortened(server: ModelServer, model: Model) -> None:
    error = {
        "message": "This model's maximum context length is 8192 tokens.",
        "type": "invalid_request_error",
        "code": "context_length_exceeded",
    }
    server.fail(Fault(kind="status", status=400, body={"error": error}), times=2)
    told = run(*(Message(role="tool", content="x" * 1_000) for _ in range(100)))

    assert generate_tips(told, model) == Generated()
    sizes = [len(request.body["messages"][-1]["content"]) for request in server.requests]
    assert sizes[0] > 100_000
    assert sizes[1] <= sizes[0] / 2
    assert sizes[2] <= sizes[1] / 2
    server.fail(Fault(kind="status", status=400, body={"error": error}), times=None)
    with pytest.raises(PromptTooLongError, match="no prompt of that length"):
        generate_tips(told, model)


@pytest.mark.parametrize(
    ("name", "wanted", "least", "most"),
    [
        ("gpt-4.1-mini", None, 50_000, 50_000),
        ("gpt-4.1-mini", 200_000, 200_000, 200_000),
        ("gpt-4", None, 4_000, 8_192),
        ("gpt-4", 6_000, 4_000, 6_000),
        ("openai/no-such-model", None, 50_000, 50_000),
        ("openai/no-such-model", 7_000, 7_000, 7_000),
    ],
)
def test_a_prompt_has_the_tokens_that_the_model_takes_and_the_setting_allows(
    name: str, wanted: int | None, least: int, most: int
) -> None:
    assert least <= input_tokens(Model(name, ModelSettings(max_input_tokens=wanted))) <= most


def test_the_whole_prompt_keeps_to_the_setting(server: ModelServer) -> None:
    told = run(*(Message(role="tool", content=f"{n} " * 500) for n in range(200)))
    generate_tips(told, Model(MODEL, ModelSettings(timeout_s=10, attempts=1, max_input_tokens=9_000)))

    [request] = server.requests
    texts = [message["content"] for message in request.body["messages"]]
    assert 8_000 < estimated_tokens("".join(texts) + json.dumps(request.body["response_format"])) <= 9_100


def test_keys_that_the_schema_does_not_have_are_left_out(server: ModelServer, model: Model) -> None:
    answers(server, {**TIP, "confidence": 0.9, "title": "City names"})

    assert [tip.content for tip in generate_tips(run(), model).tips] == [TIP["content"]]
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["nonsense", "empty"])
def test_an_unusable_answer_is_not_no_tips(server: ModelServer, model: Model, kind: Any) -> None:
    server.fail(Fault(kind=kind), times=None)

    with pytest.raises(ModelError, match="no usable answer, asked twice"):
        generate_tips(run(), model)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Retry once.", "retry once"),
        ("Retry  once\n", "Retry once!"),
        ("Retry once . ", "Retry once"),
        ("STRASSE", "Straße"),
    ],
)
def test_case_white_space_and_closing_punctuation_do_not_count(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Retry once.", "Retry twice."), ("a b", "ab"), ("Do it?", "Do it.")]
)
def test_other_words_do_count(one: str, other: str) -> None:
    assert fold(one) != fold(other)


STORY = run(
    Message(role="user", content="Weather in\n\tKöln?", span_id="s1"),
    Message(
        role="assistant",
        span_id="s2",
        tool_calls=(ToolCall(id="c1", name="weather", arguments='{"city":\n "Köln"}'),),
    ),
    Message(role="tool", content="Error: unknown   city\nTry English.", span_id="s3"),
    Message(role="assistant", content="unknown city, sorry", span_id="s4"),
    side_conversations=(
        Conversation(name="x", messages=(Message(role="assistant", content="a side remark", span_id="s5"),)),
    ),
    errors=("LLM call: RateLimitError: 429",),
)


@pytest.mark.parametrize(
    ("quote", "span_id"),
    [
        ("Weather in Köln?", "s1"),
        ("  unknown city\n", "s3"),
        ("unknown city Try English", "s3"),
        ("unknown city, sorry", "s4"),
        ('weather({"city": "Köln"})', "s2"),
        ('[3f9a1c2e calls] weather({"city": "Köln"})', "s2"),
        ("[3f9a1c2e step 3: tool]\nError: unknown city", "s3"),
        ("a side remark", "s5"),
        ("RateLimitError: 429", "s4"),
        ("unknown CITY", None),
        ("city? Error", None),
        ("", None),
        ("   ", None),
        ("[3f9a1c2e calls] ", None),
    ],
)
def test_a_quote_is_found_with_its_span_or_not_at_all(quote: str, span_id: str | None) -> None:
    assert quoted_span(STORY, quote) == span_id


def test_a_quote_of_an_error_is_found_although_no_message_is_there() -> None:
    assert quoted_span(Trajectory(trace_id="t", messages=(), errors=("boom",)), "boom") == ""


# What the calls prove goes to the model as facts, and what it does not say is said all the same


def refused(day: str = "2026-03-14", accepted: str = "14MAR26") -> Trajectory:
    """A run in which a date was refused, and accepted in another form."""
    error = f"Error: date must look like 05JAN26 (day, month, year), got {day}"
    messages = [Message(role="user", content="Find a train.", span_id="s0")]
    for number, (date, result) in enumerate([(day, error), (accepted, "[]")]):
        call = ToolCall(id=f"c{number}", name="find_trains", arguments=json.dumps({"date": date}))
        messages += [
            Message(role="assistant", tool_calls=(call,), span_id=f"s{number}"),
            Message(role="tool", content=result, tool_call_id=f"c{number}", span_id=f"s{number}"),
        ]
    return run(*messages)


WORDED = {
    **TIP,
    "content": "Give `date` to `find_trains` like 05JAN26: day, month in capital letters, year.",
    "quote": "date must look like 05JAN26",
    "finding": 1,
}


def test_the_model_is_told_what_the_calls_prove_with_the_numbers_of_the_steps(
    server: ModelServer, model: Model
) -> None:
    generate_tips(refused(), model)
    [request] = server.requests
    shown = request.body["messages"][-1]["content"]
    assert " finding 1]\nStep 2 calls find_trains(" in shown
    assert 'refused with "date must look like 05JAN26 (day, month, year), got …"' in shown
    assert "Step 4 calls find_trains(" in shown
    assert "So: Write `date` like 05JAN26 when calling `find_trains`" in shown


def test_a_tip_that_words_a_finding_carries_its_claim_and_keeps_the_tools_words(
    server: ModelServer, model: Model
) -> None:
    answers(server, WORDED)
    [tip] = generate_tips(refused(), model).tips
    assert tip.content == WORDED["content"]
    assert tip.signature["tool"] == "find_trains"
    assert tip.claim["kind"] == "form"


def test_a_tip_without_the_number_of_its_finding_is_known_by_its_steps(
    server: ModelServer, model: Model
) -> None:
    answers(server, {**WORDED, "finding": None, "steps": [3, 4]})
    [tip] = generate_tips(refused(), model).tips
    assert (tip.content, tip.claim["kind"]) == (WORDED["content"], "form")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            "The error message indicates that the date must look like 05JAN26 for find_trains.",
            "retells the run",
        ),
        ("The agent should have written `date` like 05JAN26 for `find_trains`.", "retells the run"),
        ("Date format", "says less than the run shows"),
        ("Use the right format.", "says less than the run shows"),
    ],
)
def test_where_a_weak_model_retells_or_says_less_the_miners_wording_stands_in(
    content: str, reason: str, server: ModelServer, model: Model
) -> None:
    answers(server, {**WORDED, "content": content})
    generated = generate_tips(refused(), model)
    [tip] = generated.tips
    assert tip.content.startswith("Write `date` like 05JAN26 when calling `find_trains`")
    assert generated.dropped[reason] == 1


def test_a_model_that_finds_nothing_takes_nothing_away(server: ModelServer, model: Model) -> None:
    offline = generate_tips(refused(), Model(OFFLINE, ModelSettings()))
    assert generate_tips(refused(), model).tips == offline.tips != ()


def test_values_of_the_run_in_a_models_tip_give_way_and_those_of_the_rule_do_not(
    server: ModelServer, model: Model
) -> None:
    content = "Write `date` of `find_trains` like 05JAN26, and not 2026-03-14 as the request says."
    answers(server, {**WORDED, "content": content})
    [tip] = generate_tips(refused(), model).tips
    assert tip.content == "Write `date` of `find_trains` like 05JAN26, and not <date> as the request says."


@pytest.mark.parametrize(
    "wrap",
    [
        "```json\n{}\n```",
        "<think>The agent should have looked.</think>{}",
        'Here is one: {{"tips": []}}\nOn reflection:\n{}',
    ],
)
def test_a_findings_tip_is_read_from_whatever_a_weak_model_puts_around_it(
    wrap: str, server: ModelServer, model: Model
) -> None:
    text = wrap.format(json.dumps({"tips": [WORDED]}))
    server.fail(Fault(kind="answer", message={"content": text}))
    [tip] = generate_tips(refused(), model).tips
    assert tip.content == WORDED["content"]


# Weak models must not end with less than the miner alone


def said(*tips: dict[str, Any]) -> str:
    return json.dumps({"tips": list(tips)})


def worded(content: str, **more: Any) -> dict[str, Any]:
    return {**WORDED, "content": content, **more}


MINED = "Write `date` like 05JAN26 when calling `find_trains`: otherwise it refuses with"
BAD_ANSWERS = {
    "nothing": "",
    "no tips": said(),
    "prose": "The agent searched for a train. The date was wrong at first.",
    "half a JSON object": said(WORDED)[:60],
    "another form": '{"lesson": "write dates well"}',
    "the form itself": said(worded("<string>"), worded("...")),
    "a list of titles": '["Date format", "Error handling"]',
    "a title": said(worded("`date` format of `find_trains`")),
    "a title with the rule": said(worded("`find_trains`: `date` like 05JAN26")),
    "no action": said(worded("The `date` of `find_trains`, such as 05JAN26, is well known.")),
    "the run retold": said(worded("The agent called `find_trains` with a wrong `date` instead of 05JAN26.")),
    "the error retold": said(worded("The error message says that `date` of `find_trains` is like 05JAN26.")),
    "the rule lost": said(worded("Use the right format of `date` when calling `find_trains`.")),
    "a value of the run for the rule": said(worded("Pass `date` 14MAR26 to `find_trains`, not 2026-03-14.")),
    "another tool": said(worded("Write `date` like 05JAN26 before you call `find_buses`.")),
    "no such finding": said(worded("Write dates carefully.", finding=7)),
    "the task": said(worded("Find a train.")),
    "reasoning without an end": "<think>The agent should have " + "looked at the date. " * 40,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_whatever_a_weak_model_answers_what_the_calls_prove_is_learned(
    answer: str, server: ModelServer, model: Model
) -> None:
    server.fail(Fault(kind="answer", message={"content": answer}), times=None)
    tips = generate_tips(refused(), model).tips
    [proven] = [tip for tip in tips if tip.claim]
    assert proven.content.startswith(MINED)
    assert not any(retells(tip.content) for tip in tips)


@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "```json\n{}\n```",
        "Sure! Here are the tips:\n```\n{}\n```\nLet me know if you need more.",
        "<think>The date was refused, so {{}} is no answer.</think>\n{}",
        "<reasoning>refused</reasoning>{}",
        '{{"tips": []}}\n\nOn reflection:\n{}',
        '{{"thought": "it was refused"}}\n{}',
    ],
)
def test_a_good_answer_is_taken_from_whatever_is_around_it(
    wrap: str, server: ModelServer, model: Model
) -> None:
    server.fail(Fault(kind="answer", message={"content": wrap.format(said(WORDED))}))
    [tip] = generate_tips(refused(), model).tips
    assert (tip.content, tip.claim["kind"]) == (WORDED["content"], "form")


def test_a_copy_of_the_miners_words_with_a_mistake_is_the_miners(server: ModelServer, model: Model) -> None:
    mined = generate_tips(refused(), Model(OFFLINE, ModelSettings())).tips
    copied = mined[0].content.replace('"', "'")[:-2]
    answers(server, worded(copied, trigger="Step 2 calls find_trains and is refused."))
    assert [tip.content for tip in generate_tips(refused(), model).tips] == [mined[0].content]


def test_a_trigger_that_retells_gives_way_to_the_miners(server: ModelServer, model: Model) -> None:
    answers(server, {**WORDED, "trigger": "Step 2 calls find_trains and is refused."})
    [tip] = generate_tips(refused(), model).tips
    assert (tip.content, tip.trigger) == (WORDED["content"], "`find_trains` is to be called with `date`.")


def test_a_refused_answer_takes_nothing_away_either(server: ModelServer, model: Model) -> None:
    server.fail(Fault(kind="answer", message={"content": "", "refusal": "I cannot help."}), times=None)
    generated = generate_tips(refused(), model)
    assert [tip.content.startswith(MINED) for tip in generated.tips] == [True]
    assert generated.dropped == {"no usable answer": 1}
    with pytest.raises(ModelError):
        generate_tips(run(), model)


def test_an_outage_is_no_answer(server: ModelServer, model: Model) -> None:
    server.fail(Fault(kind="status", status=503), times=None)
    with pytest.raises(ModelUnavailableError):
        generate_tips(refused(), model)
