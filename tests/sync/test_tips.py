"""Tips from one trajectory, worded by the scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen.cli.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import ModelError, ModelSettings
from kaizen.sync.llm import Model
from kaizen.sync.model import Conversation, Message, ToolCall, Trajectory
from kaizen.sync.tips import fold, generate_tips, quoted_span

if TYPE_CHECKING:
    from collections.abc import Iterator

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
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(scenarios=Scenarios()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        yield server


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

    [tip] = generate_tips(run(), model)

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
    assert generate_tips(run(), model) == []
    assert len(server.requests) == 1


def test_one_lesson_in_two_spellings_is_one_tip(server: ModelServer, model: Model) -> None:
    answers(
        server, TIP, {**TIP, "content": "pass the  CITY in English!"}, {**TIP, "content": "Something else."}
    )

    assert [tip.content for tip in generate_tips(run(), model)] == [
        "Pass the city in English.",
        "Something else.",
    ]


def test_a_tip_without_content_is_none(server: ModelServer, model: Model) -> None:
    answers(server, {**TIP, "content": " \n"})

    assert generate_tips(run(), model) == []


def test_keys_that_the_schema_does_not_have_are_left_out(server: ModelServer, model: Model) -> None:
    answers(server, {**TIP, "confidence": 0.9, "title": "City names"})

    assert [tip.content for tip in generate_tips(run(), model)] == [TIP["content"]]
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
        ('-> calls weather({"city": "Köln"})', "s2"),
        ("a side remark", "s5"),
        ("RateLimitError: 429", "s4"),
        ("unknown CITY", None),
        ("city? Error", None),
        ("", None),
        ("   ", None),
        ("-> calls ", None),
    ],
)
def test_a_quote_is_found_with_its_span_or_not_at_all(quote: str, span_id: str | None) -> None:
    assert quoted_span(STORY, quote) == span_id


def test_a_quote_of_an_error_is_found_although_no_message_is_there() -> None:
    assert quoted_span(Trajectory(trace_id="t", messages=(), errors=("boom",)), "boom") == ""
