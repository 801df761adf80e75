"""Whether the result of a call is an error is read from its form first, and from its words last."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from kaizen.sync.generate.offline.calls import read_calls
from kaizen.sync.model import Message, ToolCall
from kaizen.sync.run.evidence import only_strangers_say
from kaizen.sync.trajectory.failures import read_failure
from tests.sync.generate.test_offline import run


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"success": False, "reason": "seat taken"}, "seat taken"),
        ({"isOk": False, "text": "seat taken"}, "seat taken"),
        ({"status": "422", "title": "Seat taken"}, "Seat taken"),
        ({"status": "failed", "explanation": "seat taken"}, "seat taken"),
        ({"errors": {"seat": ["is taken"]}}, "seat: is taken"),
        ({"data": {"book": {"seat": None, "userErrors": [{"message": "seat taken"}]}}}, "seat taken"),
        ({"errorMessages": ["seat taken"], "errors": {}}, "seat taken"),
        ({"detail": [{"loc": ["body", "seat"], "msg": "Field required"}]}, "seat: Field required"),
        ({"code": -32602, "message": "seat taken"}, "seat taken"),
        ({"__type": "SeatTakenException", "message": "taken by others"}, "taken by others"),
        ({"message": "Seat 4 does not exist"}, "Seat 4 does not exist"),
        ([{"code": "taken", "path": ["seat"], "message": "Other seat expected"}], "Other seat expected"),
        ("Reply 409 Conflict: " + '{"message": "seat taken"}', "seat taken"),
        ("rpc error: code = NotFound desc = seat is taken", "seat is taken"),
        ("<Error><Code>Taken</Code><Message>Seat is taken</Message></Error>", "Seat is taken"),
        (
            "2 validation errors for Seat\nrow\n  Input should be a number [type=int]",
            "row: Input should be a number",
        ),
        ("missing required parameter: seat", "missing required parameter: seat"),
    ],
)
def test_an_error_is_told_by_its_form(result: Any, message: str) -> None:
    failure = read_failure(result if isinstance(result, str) else json.dumps(result))
    assert failure is not None
    assert failure.message == message


@pytest.mark.parametrize(
    "result",
    [
        {"id": "R-1", "status": "rejected", "reason": "worn"},
        {"message": "Saved."},
        {"code": "OK", "message": "Seat 4 is yours"},
        {"errors": [], "userErrors": [], "error_message": None},
        {"error_count": 3, "tests": 20},
        [{"message": "it must rain", "id": 1}],
        [["invalid argument", 1]],
        {"items": [{"error": "printed by an item"}]},
    ],
)
def test_what_holds_words_of_errors_is_none(result: Any) -> None:
    assert read_failure(json.dumps(result)) is None


def calls(*results: str, tool: str = "book", **arguments: Any) -> list[tuple[bool, bool]]:
    """Whether each call was refused, and whether that is in doubt."""
    messages = []
    for number, result in enumerate(results):
        call = ToolCall(id=f"c{number}", name=tool, arguments=json.dumps({**arguments, "seat": number}))
        messages += [
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content=result, tool_call_id=call.id),
        ]
    return [(call.failure is not None, call.is_doubtful) for call in read_calls(messages)]


SORRY = "Sorry, rows are counted from the front."


def test_a_short_text_is_a_refusal_if_a_success_has_another_form() -> None:
    assert calls(SORRY, '{"booking": 7}') == [(True, False), (False, False)]
    assert calls('{"booked": false, "why": "only rows up to 9"}', '{"booked": true}')[0] == (True, False)
    assert calls("Booked. You must be there early.", "Booked.") == [(False, False)] * 2
    assert calls('{"id": 1, "note": "not for children"}', '{"id": 2, "note": ""}') == [(False, False)] * 2


def test_a_text_that_nothing_explains_is_neither_a_success_nor_a_refusal() -> None:
    assert calls(SORRY) == [(False, True)]
    assert calls(SORRY, tool="get_seat") == [(False, False)]


def test_a_refusal_is_the_tools_word_and_a_page_in_the_words_of_one_is_a_strangers() -> None:
    rule = "Sorry, you must give your rows from the front of the plane."
    arguments = {"place": "5A"}
    booked = run(("book", arguments, rule), ("book", {"place": "A5"}, '{"booking": 7}'))
    assert not only_strangers_say(booked, rule)
    for tool in ("read_page", "get_note"):
        read = run((tool, arguments, rule), (tool, {"place": "A5"}, '{"booking": 7}'))
        assert only_strangers_say(read, rule)


@pytest.mark.parametrize(
    "text", ['{"a": ' * 3_000, "[" * 50_000, "x" * 300_000, "<error>" * 20_000, "a: " * 90_000]
)
def test_a_long_result_is_read_in_little_time(text: str) -> None:
    began = time.process_time()
    read_failure(text)
    assert time.process_time() - began < 0.5
