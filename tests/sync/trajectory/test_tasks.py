"""A session of several tasks is cut where it is certain that the next one begins, and nowhere else."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync.model import Message, ToolCall
from kaizen.sync.trajectory.failures import read_failure
from kaizen.sync.trajectory.tasks import split_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def user(text: str) -> Message:
    return Message(role="user", content=text)


def answer(text: str) -> Message:
    return Message(role="assistant", content=text)


def call(result: str, **arguments: str) -> list[Message]:
    asked = ToolCall(id="c", name="act", arguments=json.dumps(arguments))
    return [Message(role="assistant", tool_calls=(asked,)), Message(role="tool", content=result)]


def is_failure(result: str) -> bool:
    return read_failure(result) is not None


def begins(messages: Sequence[Message]) -> list[str]:
    """The first words of each task."""
    return [task[0].content for task in split_tasks(messages, is_failure)]


FIRST = [user("Cancel W1001"), *call("done", order="W1001"), answer("Cancelled.")]
OTHER = [user("Book LH2002"), *call("booked", flight="LH2002"), answer("Booked.")]


def test_requests_that_share_no_value_are_two_tasks() -> None:
    messages = [*FIRST, user("Thanks!"), answer("You are welcome."), *OTHER]

    assert begins(messages) == ["Cancel W1001", "Thanks!"]
    assert [message for task in split_tasks(messages, is_failure) for message in task] == messages


@pytest.mark.parametrize(
    "messages",
    [
        FIRST,
        [],
        [*FIRST, user("Thanks!"), answer("You are welcome.")],
        [*FIRST, user("And refund W1001"), *call("done", order="W1001", to="card")],
        [*FIRST, user("And the other one"), *call("done", order="W1003"), user("I meant W1001")],
        [user("Cancel it"), *call("Error: no order W1", order="W9999"), answer("Which?"), *OTHER],
        [*FIRST[:-1], *OTHER],
        [*FIRST, user("List all"), *call("W5005", kind="all"), answer("Here.")],
        [user("Which orders?"), *call("W1001, W1002", user="u1@example.com"), answer("Two."), *FIRST],
    ],
    ids=[
        "one request",
        "nothing",
        "a thank you",
        "the same order",
        "the same order later",
        "after a failure",
        "no finished answer",
        "no value in the call",
        "a value that a result named",
    ],
)
def test_what_may_be_one_task_stays_one(messages: list[Message]) -> None:
    assert len(split_tasks(messages, is_failure)) == 1


def recorded(shared_data: Path) -> list[list[Message]]:
    lines = gzip.decompress((shared_data / "trajectories" / "tau2_retail.jsonl.gz").read_bytes()).decode()
    return [list(map(message, json.loads(line)["messages"])) for line in lines.splitlines()]


def message(value: dict[str, Any]) -> Message:
    calls = [one.get("function") or one for one in value.get("tool_calls") or ()]
    return Message(
        role=value["role"],
        content=value.get("content") or "",
        tool_calls=tuple(
            ToolCall(id="", name=one["name"], arguments=as_text(one["arguments"])) for one in calls
        ),
    )


def as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def test_no_recorded_run_of_one_task_is_cut_and_many_pairs_are_cut_between_them(shared_data: Path) -> None:
    runs = recorded(shared_data)
    assert [run for run in runs if len(split_tasks(run, is_failure)) > 1] == []

    chosen, right = random.Random(3), 0
    for _ in range(100):
        first, second = chosen.sample(runs, 2)
        tasks = split_tasks([*first, answer("You are welcome."), *second], is_failure)
        calls = [[one for told in task for one in told.tool_calls] for task in tasks]
        wanted = [[one for told in run for one in told.tool_calls] for run in (first, second)]
        assert len(tasks) == 1 or calls == wanted
        right += len(tasks) == 2
    assert right >= 40
