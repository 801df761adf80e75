"""Which run a call belongs to: by its trace, by how it begins, by ids and messages that it goes on with."""

from __future__ import annotations

import threading
from typing import Any

from kaizen.recall.frameworks.requests import read_answer, read_chat, read_responses
from kaizen.recall.frameworks.runs import MOST_RUNS, Run, Runs
from kaizen.recall.recalled import Recalled

TOOLS = ("find",)
SYSTEM = {"role": "system", "content": "You find things."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def call(call_id: str, content: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": [{"id": call_id}]}


def result(call_id: str, content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


class Agents:
    """Calls of agents, one after the other."""

    def __init__(self) -> None:
        self.runs = Runs()
        self.snapshot = "first"

    def chat(self, *messages: dict[str, Any], trace: str = "", tools: tuple[str, ...] = TOOLS) -> Run:
        request = read_chat({"messages": list(messages)})
        assert request is not None
        return self._run(request, trace, tools)

    def respond(self, asked: Any, **values: Any) -> Run:
        request = read_responses({"input": asked, **values})
        assert request is not None
        return self._run(request, "", TOOLS)

    def _run(self, request: Any, trace: str, tools: tuple[str, ...]) -> Run:
        beginning = f"{request.instructions} {request.task}"
        run = self.runs.of(request, tools, traced_unit=trace, beginning=beginning, snapshot=self.snapshot)
        run.choose(Recalled(snapshot=self.snapshot))
        return run


class Answer:
    """An answer as the OpenAI SDK gives it."""

    def __init__(
        self, answer_id: str, *messages: dict[str, Any], output: tuple[dict[str, Any], ...] = ()
    ) -> None:
        self.id = answer_id
        self.choices = [{"message": message} for message in messages]
        self.output = output


def test_a_run_is_known_by_its_trace_whatever_its_messages_are() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("a"), trace="t1")
    agents.snapshot = "second"
    assert agents.chat(user("b"), trace="t1") is first
    assert agents.chat(SYSTEM, user("a"), trace="t2") is not first


def test_agents_of_one_trace_with_other_tools_are_given_tips_of_their_own() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("a"), trace="t1")
    other = agents.chat(SYSTEM, user("a"), trace="t1", tools=("book",))
    assert other is not first
    assert other.unit == first.unit == "t1"


def test_calls_without_tools_in_one_trace_are_each_given_what_fits_them() -> None:
    agents = Agents()
    answer = agents.chat(SYSTEM, user("a"), trace="t1", tools=())
    title = agents.chat(user("Give a title"), trace="t1", tools=())
    assert title is not answer
    assert title.unit == answer.unit == "t1"
    agents.snapshot = "second"
    assert agents.chat(SYSTEM, user("a"), trace="t1", tools=()) is answer
    assert agents.chat(SYSTEM, user("a"), call("1"), user("more"), trace="t1", tools=()) is answer
    assert agents.chat(SYSTEM, user("a"), trace="t2", tools=()) is not answer


def test_two_runs_of_one_task_keep_what_each_was_given_when_tips_change_in_between() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("a"))
    agents.runs.answered(first, *read_answer(Answer("chatcmpl-1", call("call_1"))))
    agents.snapshot = "second"
    second = agents.chat(SYSTEM, user("a"))
    agents.runs.answered(second, *read_answer(Answer("chatcmpl-2", call("call_2"))))
    assert second is not first
    assert agents.chat(SYSTEM, user("a"), call("call_1"), result("call_1")) is first
    assert agents.chat(SYSTEM, user("a"), call("call_2"), result("call_2")) is second
    assert (
        agents.chat(SYSTEM, user("a"), call("call_1"), result("call_1"), call("call_3"), result("call_3"))
        is first
    )


def test_ids_that_are_not_unique_lead_to_no_run_of_another_task() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("a"))
    agents.runs.answered(first, *read_answer(Answer("1", call("0"))))
    second = agents.chat(SYSTEM, user("b"))
    agents.runs.answered(second, *read_answer(Answer("1", call("0"))))
    assert agents.chat(SYSTEM, user("a"), call("0"), result("0")) is first
    assert agents.chat(SYSTEM, user("b"), call("0"), result("0")) is second


def test_a_history_that_was_cut_or_told_another_time_is_known_by_its_messages() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("a"))
    agents.runs.answered(first, *read_answer(Answer("x", call("call_1", "I look."))))
    assert agents.chat(SYSTEM, call("call_1", "I look."), result("call_1")) is first
    noon = {"role": "system", "content": "It is noon."}
    assert agents.chat(noon, user("a"), call("call_1", "I look."), result("call_1")) is first


def test_a_conversation_that_begins_is_never_taken_for_another() -> None:
    agents = Agents()
    agents.chat(SYSTEM, user("a"))
    assert agents.chat({"role": "system", "content": "Other."}, user("a")).beginning == "Other. a"


def test_a_response_is_followed_by_its_id_and_a_streamed_one_by_task_or_thread() -> None:
    agents = Agents()
    first = agents.respond("a", instructions="Find.")
    agents.runs.answered(first, *read_answer(Answer("resp_1")))
    second = agents.respond("b", instructions="Find.")
    assert agents.respond("go on", previous_response_id="resp_1") is first
    assert agents.respond("go on", previous_response_id="streamed") is first
    assert agents.respond("b", instructions="Find.") is second
    found: list[Run] = []
    thread = threading.Thread(
        target=lambda: found.append(agents.respond("go on", previous_response_id="other"))
    )
    thread.start()
    thread.join()
    assert found[0] not in (first, second)


def test_a_conversation_of_the_api_is_known_by_its_id() -> None:
    agents = Agents()
    first = agents.respond("a", conversation={"id": "conv_1"})
    assert agents.respond("b", conversation="conv_1") is first


def test_the_runs_that_were_used_longest_ago_are_forgotten() -> None:
    agents = Agents()
    first = agents.chat(SYSTEM, user("first"))
    for number in range(MOST_RUNS - 1):
        agents.chat(SYSTEM, user(str(number)))
    assert agents.chat(SYSTEM, user("first")) is first
    agents.chat(SYSTEM, user("one more"))
    assert agents.chat(SYSTEM, user("first")) is first
    assert len(agents.runs._runs) == MOST_RUNS
