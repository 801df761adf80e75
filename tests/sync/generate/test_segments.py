"""Long runs divided into their tasks, by the scripted model."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import ModelError, ModelSettings
from kaizen.sync.generate.generate import MOST_SEGMENTS, generate_tips, is_long, repair_segments
from kaizen.sync.llm.client import Model
from kaizen.sync.llm.schemas import WordedSegment
from kaizen.sync.model import Message, Trajectory

MODEL = "openai/gpt-4.1-mini"


def make(*, enabled: bool = True) -> Model:
    return Model(MODEL, ModelSettings(timeout_s=10, attempts=1, segmentation_enabled=enabled))


def conversation(requests: int = 4, steps_each: int = 5) -> Trajectory:
    """A run of one request after the other, each with a lesson in its second step."""
    messages = [Message(role="system", content="Be brief.")]
    for n in range(1, requests + 1):
        messages.append(Message(role="user", content=f"Request {n}, please"))
        messages.append(Message(role="assistant", content=f"LESSON-w{n} learned"))
        messages += (Message(role="tool", content="done") for _ in range(steps_each - 2))
    return Trajectory(trace_id="t", messages=tuple(messages))


def divide(server: ModelServer, *ranges: tuple[int, int, str]) -> None:
    """Let the model answer these segments, and a tip for each lesson that it is shown."""
    segments = [{"first_step": a, "last_step": b, "task_description": text} for a, b, text in ranges]
    server.scenarios = Scenarios.from_json(
        {
            "agents": [
                {
                    "name": "segments",
                    "when": {"schema": "kaizen_segments"},
                    "steps": [{"json": {"segments": segments}}],
                }
            ],
            "tips": [
                {
                    "pattern": r"LESSON-(?P<word>\w+)",
                    "answer": {
                        "content": r"Remember \g<word>.",
                        "category": "strategy",
                        "rationale": "It helps.",
                        "trigger": "Always.",
                        "implementation_steps": [],
                        "task_description": "What the tip says",
                        "steps": [2],
                        "quote": r"\g<0>",
                    },
                }
            ],
        }
    )


def asked(server: ModelServer) -> list[str | None]:
    return [request.schema_name for request in server.requests]


def test_each_task_of_a_long_run_is_asked_about_by_itself(server: ModelServer) -> None:
    divide(server, (2, 11, "Two requests"), (12, 21, "Two more"))
    model = make()
    generated = generate_tips(conversation(), model)

    assert asked(server) == ["kaizen_segments", "kaizen_tips", "kaizen_tips"]
    assert [(tip.content, tip.task_description) for tip in generated.tips] == [
        ("Remember w1.", "Two requests"),
        ("Remember w2.", "Two requests"),
        ("Remember w3.", "Two more"),
        ("Remember w4.", "Two more"),
    ]
    assert model.meter.calls == 3
    shown = server.requests[-1].body["messages"][-1]["content"]
    assert "one task of several]\nTwo more\n" in shown
    assert [int(step) for step in re.findall(r"step (\d+):", shown)] == [1, *range(12, 22)]


def test_steps_are_numbered_as_in_the_whole_run(server: ModelServer) -> None:
    divide(server, (2, 11, "a"), (12, 21, "b"))
    last = generate_tips(conversation(), make()).tips[-1]

    assert last.steps == (2, 18), "those that the model names and that of the quote"


@pytest.mark.parametrize(
    "ranges",
    [
        (),
        ((1, 21, "all"),),
        ((90, 99, "beyond"), (5, 3, "backwards")),
    ],
)
def test_a_run_that_is_not_divided_is_asked_about_whole(server: ModelServer, ranges: Any) -> None:
    divide(server, *ranges)
    generated = generate_tips(conversation(), make())

    assert asked(server) == ["kaizen_segments", "kaizen_tips"]
    assert len(generated.tips) == 4
    assert {tip.task_description for tip in generated.tips} == {"What the tip says"}


def test_an_unusable_answer_divides_nothing(server: ModelServer) -> None:
    divide(server)
    server.fail(Fault(kind="nonsense", schema="kaizen_segments"), times=None)

    assert len(generate_tips(conversation(), make()).tips) == 4
    assert asked(server) == ["kaizen_segments", "kaizen_segments", "kaizen_tips"]


def test_a_model_that_fails_fails_the_trace(server: ModelServer) -> None:
    server.fail(Fault(kind="status", status=500, schema="kaizen_segments"), times=None)

    with pytest.raises(ModelError, match="failed"):
        generate_tips(conversation(), make())


@pytest.mark.parametrize(
    ("trajectory", "enabled"),
    [(conversation(), False), (conversation(3, 20), True), (conversation(4, 4), True)],
)
def test_short_runs_are_not_divided_and_none_unless_enabled(
    server: ModelServer, trajectory: Trajectory, enabled: bool
) -> None:
    generate_tips(trajectory, make(enabled=enabled))

    assert asked(server) == ["kaizen_tips"]


def test_a_request_in_several_messages_is_one() -> None:
    twice = Message(role="user", content="And then?")
    messages = tuple(m for n in range(3) for m in (twice, twice, *[Message(role="assistant")] * 8))

    assert not is_long(Trajectory(trace_id="t", messages=messages))


def worded(*ranges: tuple[int, int]) -> list[WordedSegment]:
    return [WordedSegment(first_step=a, last_step=b, task_description=f"{a}") for a, b in ranges]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(1, 10), (11, 20)], [(1, 10), (11, 20)]),
        ([(11, 20), (1, 10)], [(1, 10), (11, 20)]),
        ([(3, 8), (12, 15)], [(1, 11), (12, 20)]),
        ([(1, 12), (10, 20)], [(1, 12), (13, 20)]),
        ([(1, 15), (4, 8), (16, 20)], [(1, 15), (16, 20)]),
        ([(-5, 10), (11, 99)], [(1, 10), (11, 20)]),
        ([(1, 10), (30, 40)], []),
        ([(10, 1)], []),
        ([(1, 20), (1, 20)], []),
    ],
)
def test_every_step_is_in_one_segment_whatever_the_model_answers(
    ranges: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert [(one.first, one.last) for one in repair_segments(worded(*ranges), 20)] == expected


def test_there_are_eight_segments_at_most_and_the_last_takes_the_rest() -> None:
    found = repair_segments(worded(*((n, n) for n in range(1, 21))), 20)

    assert len(found) == MOST_SEGMENTS
    assert (found[-1].first, found[-1].last) == (8, 20)
