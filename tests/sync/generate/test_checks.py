"""What is checked of new tips without a model."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kaizen.sync.generate.checks import (
    EMPTY,
    MOST_CHARS,
    MOST_STEPS,
    MOST_TIPS,
    REPEATS_ANOTHER,
    RESTATES_TASK,
    RUN_SPECIFIC,
    TOO_LONG,
    TOO_MANY,
    checked,
)
from kaizen.sync.model import Message, ToolCall, Trajectory
from kaizen.tips.tip import Tip

REAL_TIPS = Path(__file__).parents[4] / "shared/data/tips/ace_appworld_offline_bullets.jsonl"

TIP = Tip(
    content="Look an order up by its number before changing anything in it.",
    category="strategy",
    rationale="A change of a cancelled order is refused.",
    trigger="A user wants an order changed.",
    implementation_steps=("Ask for the number.", "Call get_order."),
    task_description="Changing orders",
    quote="status: cancelled",
)

ARGUMENTS = json.dumps(
    {
        "user_id": "raj_santos_2635",
        "first_name": "Raj",
        "address1": "12 Elm Street, Springfield",
        "last_name": "Workspace",
        "user_name": "admin",
        "zip": "",
        "name": "exchange",
        "phone": 5,
    }
)
RUN = Trajectory(
    trace_id="t",
    messages=(
        Message(role="system", content="Today is 2024-05-15. Work in /workspace/shop, a Workspace."),
        Message(
            role="user",
            content="Hi! I want to exchange the keyboard in #W2378156; it came on 2024-05-10.\n"
            "Please mail raj.santos@shop.org, and look at /home/raj/notes.txt.",
        ),
        Message(
            role="assistant",
            tool_calls=(ToolCall(id="c", name="get_order", arguments=ARGUMENTS),),
        ),
        Message(
            role="tool",
            content="item 9523456873, request 7c9e6679-7425-40de-944b-e07fc1f90afe, commit 3f9a1c2e77, at "
            "May 12, 2024; /workspace/shop/orders.db; status: cancelled. Dates must look like 2024-12-31. "
            "See id 90000 and 1048576 of 1000000, ticket ABC-123456 of mail me@example.com.",
        ),
    ),
    tools=('{"name": "get_order", "description": "An id such as #W1234567"}',),
)


def check(*changes: dict[str, Any], trajectory: Trajectory = RUN) -> tuple[list[Tip], Counter[str]]:
    generated = checked([replace(TIP, **change) for change in changes], trajectory)
    return list(generated.tips), generated.dropped


def test_a_general_tip_passes_as_it_is() -> None:
    assert check({}) == ([TIP], Counter())


@pytest.mark.parametrize("content", ["", "...", " \n!"])
def test_a_tip_that_says_nothing_is_dropped(content: str) -> None:
    assert check({"content": content}) == ([], Counter({EMPTY: 1}))


@pytest.mark.parametrize(
    "change",
    [
        {"content": "word " * 250},
        {"rationale": "x" * (MOST_CHARS + 1)},
        {"trigger": "x" * (MOST_CHARS + 1)},
        {"task_description": "x" * (MOST_CHARS + 1)},
        {"implementation_steps": ("x" * (MOST_CHARS + 1),)},
        {"implementation_steps": ("Wait.",) * (MOST_STEPS + 1)},
    ],
)
def test_a_tip_without_end_is_dropped(change: dict[str, Any]) -> None:
    assert check(change, {"content": "Cancelled orders stay as they are."})[1] == Counter({TOO_LONG: 1})


def test_a_run_teaches_no_more_than_it_can() -> None:
    changes = [{"content": f"Lesson number{n} is about topic{n} only."} for n in range(MOST_TIPS + 3)]
    tips, dropped = check(*changes)

    assert len(tips) == MOST_TIPS
    assert dropped == Counter({TOO_MANY: 3})


# The task


@pytest.mark.parametrize(
    "content",
    [
        "Exchange the keyboard in the order.",
        "i want to exchange the keyboard",
        "Mail Raj the notes and please look.",
        "Look at the notes, please",
    ],
)
def test_a_tip_that_only_says_what_was_asked_for_is_dropped(content: str) -> None:
    request = "I want to exchange the keyboard in my order! Please look at the notes and mail Raj."
    trajectory = Trajectory(trace_id="t", messages=(Message(role="user", content=request),))

    assert check({"content": content}, trajectory=trajectory) == ([], Counter({RESTATES_TASK: 1}))


@pytest.mark.parametrize(
    "content",
    [
        "Check that an order is delivered before offering to exchange the keyboard in it.",
        "Ask for the order number.",
        "Exchange pays.",
    ],
)
def test_a_tip_that_says_more_than_the_task_stays(content: str) -> None:
    assert [tip.content for tip in check({"content": content})[0]] == [content]


def test_what_a_tool_or_the_system_said_is_not_the_task() -> None:
    said = "Orders that are cancelled cannot be exchanged."
    for role in ("tool", "system", "assistant"):
        trajectory = replace(RUN, messages=(*RUN.messages, Message(role=role, content=said)))
        assert len(check({"content": said}, trajectory=trajectory)[0]) == 1


def test_words_far_apart_in_a_long_request_are_no_sentence() -> None:
    request = " ".join(f"w{n} order number before changing anything look up {n}" for n in range(100))
    trajectory = Trajectory(trace_id="t", messages=(Message(role="user", content=request),))

    assert check({}, trajectory=trajectory)[1] == Counter()


# Repetition


@pytest.mark.parametrize(
    "content",
    [
        "look an order up by its number before changing anything in it",
        "Look an order up by its number, before changing anything at all in it.",
        "Before changing anything in an order, look it up by its number!",
    ],
)
def test_a_lesson_in_other_words_is_one_tip(content: str) -> None:
    assert check({}, {"content": content}) == ([TIP], Counter({REPEATS_ANOTHER: 1}))


@pytest.mark.parametrize(
    "content",
    [
        "Never look an order up by its number before changing anything in it.",
        "Look an order up by its number after changing anything in it.",
        "Do not look an order up by its number before changing anything in it.",
        "Look a user up by the e-mail address before changing an address.",
    ],
)
def test_the_opposite_of_a_lesson_and_another_lesson_are_tips_of_their_own(content: str) -> None:
    tips, dropped = check({}, {"content": content})

    assert len(tips) == 2
    assert not dropped


# What only this run had


@pytest.mark.parametrize(
    ("literal", "placeholder"),
    [
        ("#W2378156", "<id>"),
        ("raj_santos_2635", "<id>"),
        ("9523456873", "<id>"),
        ("7c9e6679-7425-40de-944b-e07fc1f90afe", "<id>"),
        ("3f9a1c2e77", "<id>"),
        ("ABC-123456", "<id>"),
        ("raj.santos@shop.org", "<e-mail address>"),
        ("me@example.com", "<e-mail address>"),
        ("Raj", "<personal data>"),
        ("12 Elm Street, Springfield", "<personal data>"),
        ("2024-05-10", "<date>"),
        ("May 12, 2024", "<date>"),
        ("/home/raj/notes.txt", "<path>"),
        ("/workspace/shop/orders.db", "<path>"),
    ],
)
def test_a_value_of_the_run_gives_way_to_a_placeholder(literal: str, placeholder: str) -> None:
    [tip], dropped = check(
        {
            "content": f"Look the order up with {literal} before changing anything in it.",
            "trigger": f"A user names {literal}.",
            "implementation_steps": (f"Ask for {literal}.", "Call get_order."),
            "rationale": f"Of {literal} nothing was known.",
            "task_description": f"Changing {literal}",
            "quote": literal,
        }
    )

    assert tip.content == f"Look the order up with {placeholder} before changing anything in it."
    assert tip.trigger == f"A user names {placeholder}."
    assert tip.implementation_steps[0] == f"Ask for {placeholder}."
    assert tip.rationale == f"Of {placeholder} nothing was known."
    assert tip.task_description == f"Changing {placeholder}"
    assert tip.quote == literal, "evidence is what was said"
    assert not dropped


@pytest.mark.parametrize(
    "literal",
    [
        "#W1234567",  # the tool's own example
        "/workspace/shop",  # the agent's own directory
        "#W9999999",  # not in the run
        "2031-01-01",
        "someone@else.org",
        "git@shop.org",
        "1000000",
        "1048576",
        "90000",
        "ISO-8601",
        "/etc/hosts",
        "~/.bashrc",
        "05JAN26",
        "get_order",
        "Workspace",
        "exchange",
        "Rajasthan",
        "admin",
    ],
)
def test_a_value_that_others_may_have_too_stays(literal: str) -> None:
    content = f"Look the order up with {literal} before changing anything in it."
    trajectory = replace(
        RUN,
        messages=(
            *RUN.messages,
            Message(role="tool", content="/etc/hosts ISO-8601 ~/.bashrc 05JAN26 git@shop.org"),
        ),
    )

    assert [tip.content for tip in check({"content": content}, trajectory=trajectory)[0]] == [content]


def test_a_date_that_shows_a_form_stays() -> None:
    content = "Write dates for the order tools such as 2024-12-31, never in words."

    assert [tip.content for tip in check({"content": content})[0]] == [content]


@pytest.mark.parametrize(
    "change",
    [
        {"content": "Exchange item 9523456873 of #W2378156 and tell raj_santos_2635 about the rest."},
        {"content": "Use #W2378156 first."},
        {
            "implementation_steps": (
                "Call it with #W2378156, 9523456873 and raj_santos_2635.",
                "Write to raj.santos@shop.org on 2024-05-10 about ABC-123456.",
            )
        },
    ],
)
def test_a_tip_that_is_about_its_run_alone_is_dropped(change: dict[str, Any]) -> None:
    assert check(change) == ([], Counter({RUN_SPECIFIC: 1}))


def test_two_tips_that_differ_only_in_their_values_are_one() -> None:
    one, other = (
        f"Look orders up with {x} before changing what is in them." for x in ("#W2378156", "9523456873")
    )

    assert check({"content": one}, {"content": other})[1] == Counter({REPEATS_ANOTHER: 1})


# Size and measure


def test_megabytes_are_checked_in_little_time() -> None:
    hostile = "a" * 900 + "@" + ".a" * 40 + " " + "/home" + "/x" * 20 + " _1" * 100
    messages = tuple(
        Message(role="user", content=(hostile + "\n" + "please do this. ") * 1_000) for _ in range(5)
    )
    changes = [{"content": f"{n} " + hostile[:900], "quote": "x"} for n in range(30)]
    started = time.process_time()
    check(*changes, {}, trajectory=Trajectory(trace_id="t", messages=messages))

    assert time.process_time() - started < 5


@pytest.mark.skipif(not REAL_TIPS.exists(), reason="the real tips are not beside this repository")
def test_real_tips_pass() -> None:
    texts = [json.loads(line)["text"] for line in REAL_TIPS.read_text(encoding="utf-8").splitlines()]
    # As if every value in a tip had come from the run that it was learned from.
    trajectory = Trajectory(trace_id="t", messages=(Message(role="tool", content="\n".join(texts)),))
    results = [checked([replace(TIP, content=text)], trajectory) for text in texts]
    dropped = sum((result.dropped for result in results), Counter())
    changed = [
        result.tips[0].content
        for result, text in zip(results, texts, strict=True)
        if result.tips and result.tips[0].content != text
    ]

    assert len(texts) > 300
    assert dropped.total() <= len(texts) // 100, dropped
    assert len(changed) <= len(texts) // 100, changed
