"""Which tips a run gets: by its tools, then by its words, within the budget, and always the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kaizen.recall import ServedTip, Snapshot
from kaizen.recall.choosing import Budget, Candidate, Request, choose, consider
from kaizen.recall.placing import count_tokens
from kaizen.recall.recalled import recall_from

GENERAL = ServedTip(
    "general", 1, "Ask for the booking code first.", trigger="A customer wants to change a flight"
)


def about(tip_id: str, *tools: str, content: str = "", **fields: Any) -> ServedTip:
    content = content or f"Give {' and '.join(tools)} the code that {tip_id} needs."
    return ServedTip(tip_id, 1, content, tools=dict.fromkeys(tools, "v1"), **fields)


def chosen(tips: list[ServedTip], *tools: str, task: str = "", budget: Budget | None = None) -> list[str]:
    request = Request(task, tools=dict.fromkeys(tools, "") or None)
    return [candidate.tip.id for candidate in choose(Snapshot(tips), request, budget)]


def rejected(tips: list[ServedTip], request: Request, budget: Budget | None = None) -> dict[str, str]:
    return {c.tip.id: c.rejected for c in consider(Snapshot(tips), request, budget) if c.rejected}


def test_tips_about_the_offered_tools_come_first_and_go_into_their_descriptions() -> None:
    snapshot = Snapshot([GENERAL, about("cancel", "cancel_order"), about("other", "pay")])
    request = Request("change my flight", tools={"cancel_order": "v1", "get_order": "v9"})
    found = [(c.tip.id, c.tool) for c in choose(snapshot, request)]
    assert found == [("cancel", "cancel_order"), ("general", "")]


@pytest.mark.parametrize(
    ("learned", "offered"), [("cancel", "mcp__orders__cancel"), ("mcp__orders__cancel", "cancel")]
)
def test_the_prefix_of_a_server_does_not_matter(learned: str, offered: str) -> None:
    assert chosen([about("t", learned)], offered) == ["t"]


def test_a_tool_of_another_server_is_another_tool() -> None:
    assert chosen([about("t", "mcp__orders__cancel")], "mcp__flights__cancel") == []


def test_a_tip_goes_to_the_tool_whose_failed_call_it_prevents() -> None:
    tip = about("t", "drain", "restart", tool="restart")
    (candidate,) = choose(Snapshot([tip]), Request("", tools={"drain": "", "restart": ""}))
    assert candidate.tool == "restart"
    (candidate,) = choose(Snapshot([tip]), Request("", tools={"drain": ""}))
    assert candidate.tool == "drain"


def test_a_tip_that_names_none_of_its_tools_is_about_none() -> None:
    tip = about("t", "get_order", "pay", content="Ask for the booking code.")
    assert chosen([tip], "get_order", "pay") == []
    assert chosen([tip], "get_order", "pay", task="the booking code is lost") == ["t"]


def test_a_tip_about_tools_that_the_run_lacks_is_of_no_use() -> None:
    tip = about("t", "cancel_flight", content="cancel_flight wants the booking code.")
    assert chosen([tip], task="what is my booking code") == ["t"]
    assert chosen([tip], "search", task="what is my booking code") == []


def test_a_tip_whose_tool_was_defined_anew_is_not_shown() -> None:
    tips = [about("t", "pay")]
    assert rejected(tips, Request("", tools={"pay": "v2"})) == {
        "t": "the definition of pay has changed since"
    }
    assert rejected(tips, Request("", tools={"pay": "v1"})) == {}


def test_proven_tips_come_before_peoples_and_those_before_better_backed_ones() -> None:
    tips = [
        about("b", "pay", support=2),
        about("a", "pay", support=2),
        about("backed", "pay", support=9),
        about("persons", "pay", is_a_persons=True),
        about("proven", "pay", effect={"low": 0.01, "high": 0.3}),
        about("unclear", "pay", effect={"low": -0.2, "high": 0.3}, support=1),
    ]
    assert chosen(tips, "pay", budget=Budget(per_tool=9)) == [
        "proven",
        "persons",
        "backed",
        "a",
        "b",
        "unclear",
    ]


def test_at_most_five_of_a_tool_and_eight_in_all() -> None:
    tips = [about(f"{tool}{n}", tool) for tool in ("a", "b", "c") for n in range(7)]
    assert len(chosen(tips, "a")) == 5
    found = chosen(tips, "a", "b", "c")
    assert found == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2"]


def test_a_tip_that_does_not_fit_gives_way_to_one_that_does() -> None:
    tips = [about("long", "pay", content="pay " + "word " * 400, support=9), about("short", "pay")]
    assert chosen(tips, "pay", budget=Budget(tokens=200)) == ["short"]
    assert "tokens do not fit" in rejected(tips, Request("", tools={"pay": ""}), Budget(tokens=200))["long"]


def test_no_budget_is_no_tip() -> None:
    assert chosen([about("t", "pay"), GENERAL], "pay", task="change a flight", budget=Budget(tokens=0)) == []


def test_words_are_compared_by_their_stems() -> None:
    assert chosen([GENERAL], task="I wanted my flights changed") == ["general"]


@pytest.mark.parametrize("task", ["", "hi", "thank you", "What is the capital of Peru?", "the the the"])
def test_a_request_about_something_else_gets_nothing(task: str) -> None:
    filler = [ServedTip(f"f{n}", 1, f"Sort page {n} of the report by date.") for n in range(50)]
    assert chosen([GENERAL, *filler], task=task) == []


def test_the_instructions_count_less_than_the_task() -> None:
    texts = {"flights": "Flights: look up airline and gate.", "hotels": "Hotels: ask for city and nights."}
    snapshot = Snapshot([ServedTip(name, 1, text) for name, text in texts.items()])
    instructions = "You look up the airline and the gate of flights."
    assert [c.tip.id for c in choose(snapshot, Request("hello", instructions))] == ["flights"]
    assert choose(snapshot, Request("hello", "You know flights.")) == []
    first, *_ = choose(snapshot, Request("hotels, a city", instructions))
    assert first.tip.id == "hotels"


def test_the_order_of_tips_and_tools_changes_nothing() -> None:
    tips = [about(f"t{n}", f"tool{n % 7}", support=n % 3) for n in range(60)] + [GENERAL]
    tools = [f"tool{n}" for n in range(7)]
    task = "change a flight"
    expected = recall_from(Snapshot(tips), Request(task, tools=dict.fromkeys(tools, "")), unit="u")
    draw = random.Random(1)
    for _ in range(5):
        draw.shuffle(tips)
        draw.shuffle(tools)
        assert (
            recall_from(Snapshot(tips), Request(task, tools=dict.fromkeys(tools, "")), unit="u") == expected
        )


def test_runs_with_the_same_tools_get_the_same_notes_whatever_they_are_asked() -> None:
    snapshot = Snapshot([about(f"t{n}", f"tool{n % 3}") for n in range(9)] + [GENERAL])
    tools = dict.fromkeys(("tool0", "tool1", "tool2"), "")
    nothing_asked, flight = [
        recall_from(snapshot, Request(task, tools=tools), unit="u").notes for task in ("", "change a flight")
    ]
    assert nothing_asked == flight != {}


def test_what_is_written_never_costs_more_than_the_budget() -> None:
    draw = random.Random(5)
    for size in (0, 40, 80, 150, 300, 600):
        tips = [
            about(
                f"t{n}",
                f"tool{n % 4}",
                content=f"tool{n % 4} " + "word, " * draw.randint(1, 60),
                trigger="w " * 9,
            )
            for n in range(40)
        ]
        request = Request("change", tools={f"tool{n}": "" for n in range(4)})
        found = recall_from(Snapshot(tips), request, unit="u", budget=Budget(tokens=size))
        assert sum(map(count_tokens, [found.text, *found.notes.values()])) <= size
        assert count_tokens(found.full_text) <= size


def test_candidates_say_what_they_cost() -> None:
    (candidate,) = choose(Snapshot([GENERAL]), Request("change my flight"))
    assert isinstance(candidate, Candidate)
    assert candidate.tokens >= count_tokens(
        recall_from(Snapshot([GENERAL]), Request("change my flight"), unit="u").text
    )
