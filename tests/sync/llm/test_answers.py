"""Answers as real models give them: what is taken, what is asked for again, and what is said of the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import ModelRefusalError, ModelSettings, ModelUnavailableError, UnusableAnswerError
from kaizen.sync.llm.answers import find_answer, find_at_end, without_reasoning
from kaizen.sync.llm.client import Model
from kaizen.sync.llm.schemas import DecisionsAnswer, GroupsAnswer, SegmentsAnswer, TipsAnswer
from tests.support.cpu import cpu_time

if TYPE_CHECKING:
    from collections.abc import Iterator

NATIVE = "openai/gpt-4.1-mini"


def tip(content: str, **more: Any) -> dict[str, Any]:
    return {
        "content": content,
        "category": "recovery",
        "rationale": 'It said "try again".',
        "trigger": "t",
        "implementation_steps": ["a"],
        "task_description": "d",
        "steps": [1],
        "quote": "q",
        **more,
    }


def tips(*contents: str) -> str:
    return json.dumps({"tips": [tip(content) for content in contents]})


GOOD = tips("Retry {once}.")
NONE = '{"tips": []}'
THOUGHT = f"<|channel|>analysis<|message|>maybe {GOOD}<|end|>"
STEPS = ["Call a.", "Call b.", "Call c."]
BOTH = tips("One tip.", "Other tip.")
IN_SECOND = BOTH.index("Other tip.") + 5


def contents(text: str, **more: Any) -> list[str] | str:
    """The contents of the tips that are found in a text, or what is wrong with it."""
    found = find_answer(text, TipsAnswer, **more)
    return found.problem or [entry.content for entry in found.entries]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\n",
        f"Sure! Here it is:\n{GOOD}\nHope that {{helps}}.",
        f"Here:\n```json\n{GOOD}\n```",
        f"<think>maybe {{two}} tips</think>\n{GOOD}",
        f"Using {{curly}} braces: {GOOD}",
        GOOD.replace("]}", "],}"),
        json.dumps({"kaizen_tips": {"tips": [tip("Retry {once}.")]}}),
        json.dumps({"result": [tip("Retry {once}.")]}),
        json.dumps([{"tips": [tip("Retry {once}.")]}]),
        json.dumps({"tips": [tip("Retry {once}.")], "note": "x"}),
        GOOD.removesuffix("}"),
        GOOD.removesuffix("]}"),
        GOOD.replace('"tips"', "'tips'"),
        GOOD.replace('["a"]', '[\n// first\n"a"]'),
        GOOD.replace("try again", "try\nagain").replace("\\n", "\n"),
        json.dumps([tip("Retry {once}.")]),
        json.dumps(tip("Retry {once}.")),
        f"The tip: {json.dumps(tip('Retry {once}.'))}",
        json.dumps({"tips": json.dumps([tip("Retry {once}.")])}),
        json.dumps({"tips": GOOD}),
        json.dumps({"tips": tip("Retry {once}.")}),
    ],
)
def test_an_answer_in_any_wrapping_is_taken(text: str) -> None:
    assert contents(text) == ["Retry {once}."]


@pytest.mark.parametrize("text", [NONE, "[]", '{"tips": null}', '{"tips": "[]"}', f"None. {NONE}"])
def test_no_tips_is_an_answer(text: str) -> None:
    assert contents(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<think>perhaps {NONE}</think>{GOOD}", ["Retry {once}."]),
        (f"<think>perhaps {GOOD}</think>{NONE}", []),
        (f"<thinking>perhaps {GOOD}</thinking>\n{NONE}", []),
        (f"<Thought>perhaps {GOOD}</Thought>\n{NONE}", []),
        (f"<reasoning step='1'>perhaps {GOOD}</reasoning>{NONE}", []),
        (f"[THINK]perhaps {GOOD}[/THINK]{NONE}", []),
        (f"◁think▷perhaps {GOOD}◁/think▷{NONE}", []),
        (f"<|begin_of_thought|>perhaps {GOOD}<|end_of_thought|>{NONE}", []),
        (f"<seed:think>perhaps {GOOD}</seed:think>{NONE}", []),
        (f"perhaps {GOOD}</think>{NONE}", []),
        (f"<think>one {GOOD}</think><think>two {GOOD}</think>{NONE}", []),
        (f"<think>the tag <think> opens {GOOD}</think>{NONE}", []),
        (f"{NONE}<think>was {GOOD} better?</think>", []),
        (
            f"{THOUGHT}<|start|>assistant<|channel|>final<|message|>{NONE}<|return|>",
            [],
        ),
        (THOUGHT, "thinking and no answer"),
        (f"<think>perhaps {GOOD}", "thinking and no answer"),
        (f"<think>perhaps {GOOD} and so on", "thinking and no answer"),
        (f"Draft:\n```json\n{NONE}\n```\nFinal:\n```json\n{GOOD}\n```", ["Retry {once}."]),
        (f"{GOOD}\nNo, rather: {NONE}", []),
        # a draft that is whole does not win over the answer after it, broken as it is
        (f"Draft: {NONE} Final: {GOOD.replace(']}', '],}')}", ["Retry {once}."]),
        (json.dumps({"tips": [tip("Close the </think> tag.")]}), ["Close the </think> tag."]),
    ],
)
def test_the_last_complete_answer_wins_and_thinking_is_none(text: str, expected: list[str] | str) -> None:
    assert contents(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<think>b</think>c", "ac"),
        ("a<think>b", "a"),
        ("a</think>b", "b"),
        ("a</think>b</think>c", "c"),
        ("no marks <b>at all</b>", "no marks <b>at all</b>"),
        ("1 < 2 <think", "1 < 2 <think"),
    ],
)
def test_reasoning_is_cut(text: str, expected: str) -> None:
    assert without_reasoning(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"So the answer is\n{GOOD}", ["Retry {once}."]),
        (f"So the answer is\n```json\n{GOOD}\n```\n", ["Retry {once}."]),
        (f"The form is {GOOD}. I see nothing to learn.", "thinking and no answer"),
        ("Hm.", "thinking and no answer"),
        (f"The form:\n{tips('...')}", "tips.0.content: Value error, it is the form and not a tip"),
    ],
)
def test_thinking_alone_is_an_answer_if_it_ends_with_one(text: str, expected: list[str] | str) -> None:
    found = find_at_end(text, TipsAnswer)
    assert (found.problem or [entry.content for entry in found.entries]) == expected


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({"category": "Recovery Strategy"}, "category", "recovery"),
        ({"category": " RECOVERY "}, "category", "recovery"),
        ({"category": "Optimisation"}, "category", "optimization"),
        ({"category": "strategic"}, "category", "strategy"),
        ({"implementation_steps": "1. Call a.\n2) Call b.\n- Call c."}, "implementation_steps", STEPS),
        ({"implementation_steps": [{"step": "Call a."}, *STEPS[1:], None]}, "implementation_steps", STEPS),
        ({"implementation_steps": None}, "implementation_steps", []),
        ({"rationale": None}, "rationale", ""),
        ({"trigger": None}, "trigger", ""),
        ({"task_description": None}, "task_description", ""),
        ({"quote": None}, "quote", ""),
        ({"steps": None}, "steps", []),
        ({"steps": "3"}, "steps", [3]),
        ({"content": "cut emoji \ud83d"}, "content", "cut emoji \ufffd"),
    ],
)
def test_a_value_is_coerced_if_its_meaning_is_clear(given: dict[str, Any], field: str, expected: Any) -> None:
    [entry] = find_answer(json.dumps({"tips": [{**tip("Do it."), **given}]}), TipsAnswer).entries
    assert getattr(entry, field) == expected


def test_other_answers_are_coerced_too() -> None:
    said = (
        '{"decisions": [{"new": "1", "decision": "Duplicate", "known": 2}, {"new": "x", "decision": "new"}]}'
    )
    found = find_answer(said, DecisionsAnswer)
    assert [(entry.new, entry.decision, entry.content) for entry in found.entries] == [(1, "duplicate", None)]
    assert found.dropped == {"malformed": 1}
    [segment] = find_answer('[{"first_step": 1, "last_step": 9}]', SegmentsAnswer).entries
    assert segment.task_description == ""
    [group] = find_answer('{"members": [1, 2], "content": "c", "trigger": null}', GroupsAnswer).entries
    assert (group.members, group.trigger) == ([1, 2], "")


def test_the_good_ones_of_several_are_taken_and_the_rest_counted() -> None:
    given = [tip("One."), {**tip("Two."), "category": "advice"}, "three", {"content": "Four."}, tip("Five.")]
    found = find_answer(json.dumps({"tips": given}), TipsAnswer)
    assert [entry.content for entry in found.entries] == ["One.", "Five."]
    assert found.dropped == {"malformed": 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "an empty answer"),
        (" \n", "an empty answer"),
        ("No tips today.", "no JSON in it: 'No tips today.'"),
        ("{}", "tips: Field required"),
        ('{"tips": "none"}', "tips: Input should be a valid list"),
        ("I use { and } a lot", "tips: Field required"),
        (GOOD.replace("recovery", "advice"), "tips.0.category: Input should be"),
        (json.dumps({"tips": [{"content": "c", "steps": []}]}), "tips.0.category: Field required"),
        (json.dumps({"tips": [tip("<the lesson>")]}), "tips.0.content: Value error, it is the form"),
        (GOOD[: GOOD.index('"trigger"')], "it was cut off in its first entry of `tips`"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text: str, problem: str) -> None:
    found = find_answer(text, TipsAnswer)
    assert found.problem.startswith(problem)
    assert found.entries == []


@pytest.mark.parametrize("end", range(len('{"tips": ['), len(BOTH), 7))
@pytest.mark.parametrize("before", ["", "```json\n", f"<think>{NONE}</think>"])
def test_half_an_entry_is_never_taken_wherever_an_answer_is_cut(end: int, before: str) -> None:
    for is_cut in (True, False):
        found = find_answer(before + BOTH[:end], TipsAnswer, is_cut=is_cut)
        assert [entry.content for entry in found.entries] in ([], ["One tip."])
        assert all(entry.quote == "q" for entry in found.entries)
        assert found.is_cut


def test_a_cut_answer_that_is_complete_is_whole() -> None:
    found = find_answer(BOTH, TipsAnswer, is_cut=True)
    assert (len(found.entries), found.is_cut) == (2, False)


ENDLESS = {
    "deep": '{"tips":' * 100_000,
    "lists": "[{" * 100_000,
    "braces": "{" * 500_000,
    "quotes": '{"' + '"' * 500_000,
    "prose": "{ " + "word, " * 100_000,
    "texts": '{"a": "' * 70_000,
    "marks": "<think>" * 70_000,
    "openings": '{"tips": [' * 50_000,
    "entries": '[{"content": ' * 40_000,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_answer_takes_little_time(text: str) -> None:
    with cpu_time(below_s=5):
        found = find_answer(text, TipsAnswer)
    assert found.problem


# -- over real HTTP --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the model answers, one message after the other, and what becomes of it."""

    id: str
    answers: tuple[dict[str, Any], ...]
    finish: tuple[str, ...] = ("stop", "stop")
    expected: tuple[str, ...] | type[Exception]
    dropped: dict[str, int] = field(default_factory=dict)
    says: str = ""
    asks: str = ""


CALL = {"id": "c", "type": "function", "function": {"name": "kaizen_tips", "arguments": GOOD}}
RETRY = ("Retry {once}.",)
CASES = [
    Case(
        id="cut, and the rest",
        answers=({"content": BOTH[:IN_SECOND]}, {"content": tips("Other tip.")}),
        finish=("length", "stop"),
        expected=("One tip.", "Other tip."),
        asks="1 entries of `tips` were complete",
    ),
    Case(
        id="cut, and all of it again",
        answers=({"content": BOTH[:IN_SECOND]}, {"content": BOTH}),
        finish=("length", "stop"),
        expected=("One tip.", "Other tip."),
    ),
    Case(
        id="cut twice",
        answers=({"content": BOTH[:IN_SECOND]}, {"content": BOTH[:IN_SECOND]}),
        finish=("length", "length"),
        expected=("One tip.",),
        dropped={"cut off": 1},
    ),
    Case(
        id="cut, then nonsense",
        answers=({"content": BOTH[:IN_SECOND]}, {"content": "Well."}),
        finish=("length", "stop"),
        expected=("One tip.",),
        dropped={"cut off": 1},
    ),
    Case(
        id="cut in the first",
        answers=({"content": GOOD[:60]}, {"content": GOOD}),
        finish=("length", "stop"),
        expected=RETRY,
        asks="in far fewer words",
    ),
    Case(
        id="cut in the first, twice",
        answers=({"content": GOOD[:60]}, {"content": GOOD[:50]}),
        finish=("length", "length"),
        expected=UnusableAnswerError,
        says="asked twice: it was cut off in its first entry",
    ),
    Case(
        id="cut while thinking",
        answers=({"content": "", "reasoning_content": "hm"}, {"content": GOOD}),
        finish=("length", "stop"),
        expected=RETRY,
        asks="in far fewer words",
    ),
    Case(id="cut, not said", answers=({"content": BOTH[:-40]}, {"content": NONE}), expected=("One tip.",)),
    Case(id="thinks aloud", answers=({"content": f"<think>{NONE}</think>{GOOD}"},), expected=RETRY),
    Case(id="thinks, closing mark only", answers=({"content": f"{NONE}</think>{GOOD}"},), expected=RETRY),
    Case(
        id="thinks and never answers", answers=({"content": f"<think>{GOOD}"}, {"content": NONE}), expected=()
    ),
    Case(id="a list", answers=({"content": f"[{json.dumps(tip('A.'))}]"},), expected=("A.",)),
    Case(id="one bare tip", answers=({"content": json.dumps(tip("A."))},), expected=("A.",)),
    Case(id="a tool call", answers=({"tool_calls": [CALL]},), finish=("tool_calls",), expected=RETRY),
    Case(id="only reasoning", answers=({"reasoning_content": f"So:\n{GOOD}"},), expected=RETRY),
    Case(
        id="a form in the reasoning",
        answers=({"reasoning_content": f"The form is {GOOD}. Nothing."}, {"content": NONE}),
        expected=(),
    ),
    Case(
        id="one malformed of several",
        answers=({"content": json.dumps({"tips": [tip("A."), {"content": "B."}, tip("C.")]})},),
        expected=("A.", "C."),
        dropped={"malformed": 1},
    ),
    Case(id="half an emoji", answers=({"content": tips("cut \ud83d")},), expected=("cut \ufffd",)),
    Case(id="half an emoji, raw", answers=({"content": "x \ud83d"}, {"content": GOOD}), expected=RETRY),
    Case(
        id="refusal",
        answers=({"refusal": "I cannot help with that."},),
        expected=ModelRefusalError,
        says="refuses to answer: I cannot help with that.",
    ),
    Case(
        id="content filter",
        answers=({"content": ""},),
        finish=("content_filter",),
        expected=ModelRefusalError,
        says="content filter",
    ),
    Case(
        id="filtered after its answer",
        answers=({"content": GOOD},),
        finish=("content_filter",),
        expected=RETRY,
    ),
    Case(
        id="empty with a reason",
        answers=({"content": ""}, {"content": ""}),
        finish=("RECITATION", "RECITATION"),
        expected=ModelRefusalError,
        says="RECITATION",
    ),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(scenarios=Scenarios()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-known-form")
        yield server


def ask(name: str = NATIVE, **settings: Any) -> TipsAnswer:
    model = Model(name, ModelSettings(**{"timeout_s": 30, "attempts": 1, **settings}))
    return model.ask(system="Study the run.", user="<run></run>", answer=TipsAnswer, name="kaizen_tips")


@pytest.mark.parametrize("name", [NATIVE, "openai/gpt-3.5-turbo"], ids=["schema", "words"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_answer_as_a_real_model_gives_it(server: ModelServer, case: Case, name: str) -> None:
    for message, finish in zip(case.answers, case.finish, strict=False):
        server.fail(Fault(kind="answer", message=message, finish_reason=finish))
    refused = case.expected is ModelRefusalError

    if isinstance(case.expected, tuple):
        answer = ask(name)
        assert tuple(entry.content for entry in answer.tips) == case.expected
        assert answer.dropped == case.dropped
        json.dumps(answer.model_dump(), ensure_ascii=False).encode()
    else:
        with pytest.raises(case.expected, match=case.says) as caught:
            ask(name)
        assert "\n" not in str(caught.value)

    assert len(server.requests) == (1 if refused else len(case.answers)), "a refusal is not asked twice"
    if case.asks:
        assert case.asks in server.requests[-1].body["messages"][-1]["content"]


def test_an_error_of_the_provider_behind_a_proxy_is_an_outage(server: ModelServer) -> None:
    message = {"role": "assistant", "content": ""}
    choice = {"index": 0, "finish_reason": "error", "message": message}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    error = {"message": "upstream died", "code": 502}
    server.fail(Fault(kind="status", status=200, body={**body, "choices": [{**choice, "error": error}]}))

    with pytest.raises(ModelUnavailableError, match="upstream died"):
        ask()
