"""The world to learn in: rules that only errors tell, tasks that can be solved, scores by state."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import openai
import pytest

from kaizen.demo.model_server import ModelServer, Scenarios
from kaizen.demo.world.agent import SYSTEM_PROMPT, Endpoint, ModelAnswer, attempt, read_arguments, with_notes
from kaizen.demo.world.development import FAMILIES
from kaizen.demo.world.family import Family, State
from kaizen.demo.world.held_out import HELD_OUT
from kaizen.demo.world.player import RulesPlayer
from kaizen.demo.world.task import WorldTask

ROOT = Path(__file__).parents[2]
ALL = FAMILIES + HELD_OUT
ERAS = [(family, is_later) for family in ALL for is_later in ((False, True) if family.later else (False,))]
SEEDS = [str(number) for number in range(12)]

each_family = pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
each_era = pytest.mark.parametrize(
    ("family", "is_later"), ERAS, ids=lambda value: value.name if isinstance(value, Family) else str(value)
)


def tasks(family: Family, *, is_later: bool = False) -> list[WorldTask]:
    return [WorldTask(family=family, seed=seed, is_later=is_later) for seed in SEEDS]


def made_of(task: WorldTask, name: str, **arguments: object) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


class Says:
    """A model that gives these messages, one after the other, and then an answer without a call."""

    def __init__(self, *calls: dict[str, object]) -> None:
        self.calls = list(calls)

    def __call__(self, messages: object, tools: object) -> ModelAnswer:
        calls = {"tool_calls": [self.calls.pop(0)]} if self.calls else {}
        message = {"role": "assistant", "content": "I did all of it, perfectly.", **calls}
        return ModelAnswer(message=message, tokens=12)


def test_there_are_sixteen_families_to_develop_with_and_eight_that_are_held_out() -> None:
    assert (len(FAMILIES), len(HELD_OUT)) == (16, 8)
    assert len({family.name for family in ALL}) == len(ALL)


def test_some_rules_change_in_both_groups() -> None:
    assert sum(family.later is not None for family in FAMILIES) >= 3
    assert sum(family.later is not None for family in HELD_OUT) >= 2


@each_family
def test_a_task_is_the_same_for_the_same_seed_and_another_for_another(family: Family) -> None:
    again = [(task.text, task.values) for task in tasks(family)]
    assert again == [(task.text, task.values) for task in tasks(family)]
    assert len({text for text, _ in again}) > len(SEEDS) // 2


@each_family
def test_the_first_guess_is_refused(family: Family) -> None:
    for task in tasks(family):
        state, refused = State(), []
        for planned in family.plan:
            result = task.call(state, planned.tool, task.arguments(planned))
            state = result.state
            refused.append((planned.tool, result.is_refused))
        assert [tool for tool, is_refused in refused if is_refused] == [family.rule.tool]
        assert not task.is_done(state)


@each_era
def test_the_known_correction_solves_every_task(family: Family, is_later: bool) -> None:
    for task in tasks(family, is_later=is_later):
        assert task.goal.changes
        assert task.is_done(task.goal)
        assert not task.is_done(State())


@each_family
def test_what_the_task_and_the_schemas_say_does_not_tell_the_rule(family: Family) -> None:
    for rule in family.rules:
        definition = next(tool.schema for tool in family.tools if tool.name == rule.tool)
        # The later rule of some families is what the task says: there a first guess is right.
        if family.corrected(rule) == family.plan:
            continue
        for text in (json.dumps(definition), *family.tasks, SYSTEM_PROMPT):
            assert not re.search(rule.lesson, text), text


@each_family
def test_a_wrong_tool_is_seen_in_the_state(family: Family) -> None:
    task = tasks(family)[0]
    required = {tool.name: dict.fromkeys(tool.required, "x") for tool in family.tools if tool.gives is None}
    wrong = [
        name for name in required if name not in {planned.tool for planned in family.corrected(family.rule)}
    ]
    assert wrong, "no distractor"
    spoiled = task.call(task.goal, wrong[0], required[wrong[0]])
    assert not spoiled.is_refused
    assert not task.is_done(spoiled.state)
    assert not task.is_on_the_way(spoiled.state)


@each_family
def test_what_is_done_already_is_not_done_again(family: Family) -> None:
    task = tasks(family)[0]
    last = family.corrected(family.rule)[-1]
    twice = task.call(task.goal, last.tool, task.arguments(last))
    assert not twice.is_refused
    assert twice.is_repeated
    assert "already done" in twice.text
    assert task.is_done(twice.state)


def test_an_attempt_ends_where_the_model_repeats_an_accepted_call() -> None:
    task = tasks(FAMILIES[2])[0]
    node = task.values["node"]
    calls = [made_of(task, name, node=node) for name in ("drain_node", *["restart_node"] * 5)]
    made = attempt(task, Says(*calls))
    assert made.is_done
    assert made.calls == 3
    looks = [made_of(task, "node_status", node=node)] * 3
    assert attempt(task, Says(*looks)).calls == 3, "looking again is no repetition"


@each_family
def test_a_refused_call_changes_nothing_and_says_why(family: Family) -> None:
    task = tasks(family)[0]
    guess = next(planned for planned in family.plan if planned.tool == family.rule.tool)
    result = task.call(State(), guess.tool, task.arguments(guess))
    assert result.is_refused
    assert result.state == State()
    assert result.text
    assert "$" not in result.text


def test_a_call_that_makes_no_sense_is_refused() -> None:
    task = tasks(FAMILIES[0])[0]
    assert task.call(State(), "fly", {}).text == "Error: unknown tool 'fly'"
    missing = task.call(State(), "book_flight", {"origin": "VIE", "destination": "LHR"})
    assert missing.text == "Error: missing required argument 'date'"
    assert missing.is_refused
    assert read_arguments("[1]") == read_arguments("{") == {}


@each_era
def test_odd_arguments_are_refused_and_do_not_break_the_world(family: Family, is_later: bool) -> None:
    task = tasks(family, is_later=is_later)[0]
    tool = next(tool for tool in family.tools if tool.name == task.rule.tool)
    for odd in ("30s", [], ["a"], {"a": 1}, True, -1, "9" * 400):
        result = task.call(State(), tool.name, dict.fromkeys(tool.required, odd))
        assert not task.is_done(result.state)


@each_family
def test_the_score_is_the_states_and_not_the_words(family: Family) -> None:
    task = tasks(family)[0]
    boasted = attempt(task, Says())
    assert not boasted.is_done
    right = [
        made_of(task, planned.tool, **task.arguments(planned)) for planned in family.corrected(task.rule)
    ]
    done = attempt(task, Says(*right))
    assert done.is_done
    assert done.is_first_try
    assert (done.calls, done.errors) == (len(right), 0)
    assert done.tokens == 12 * (len(right) + 1)


@each_era
def test_the_agent_played_by_rules_learns_from_errors_but_not_at_the_first_try(
    family: Family, is_later: bool
) -> None:
    made = [attempt(task, RulesPlayer(task)) for task in tasks(family, is_later=is_later)]
    first_guess_is_right = family.corrected(made[0].task.rule) == family.plan
    assert all(one.is_first_try for one in made) == first_guess_is_right
    assert any(one.is_done for one in made)
    if not first_guess_is_right:
        assert not any(one.is_first_try for one in made)
        assert {one.errors for one in made} == {1}


def test_a_tip_helps_by_what_it_says_of_the_right_tool() -> None:
    task = tasks(FAMILIES[1])[0]
    rule = "Pass `amount` of `refund_order` in cents."
    said = "\n- "
    helped = attempt(task, RulesPlayer(task), notes={"refund_order": said + rule})
    assert helped.is_first_try
    assert attempt(task, RulesPlayer(task), system=SYSTEM_PROMPT + said + rule).is_first_try
    of_others = {"get_order": said + rule}
    assert not attempt(task, RulesPlayer(task), notes=of_others).is_first_try
    vague = {"refund_order": said + "Take care with `amount` of `refund_order`."}
    assert not attempt(task, RulesPlayer(task), notes=vague).is_first_try
    elsewhere = SYSTEM_PROMPT + said + "Pass `price` of `charge_customer` in cents."
    assert not attempt(task, RulesPlayer(task), system=elsewhere).is_first_try


def test_a_stale_tip_costs_an_error_where_the_first_guess_is_right_by_now() -> None:
    family = FAMILIES[0]
    stale = {"book_flight": " Write `date` like 05JAN26."}
    now = [attempt(task, RulesPlayer(task), notes=stale) for task in tasks(family)]
    later = [attempt(task, RulesPlayer(task), notes=stale) for task in tasks(family, is_later=True)]
    assert all(one.is_first_try for one in now)
    assert {one.errors for one in later} == {1}


def test_an_attempt_may_end_after_the_first_call_that_has_a_rule() -> None:
    task = tasks(FAMILIES[-1])[0]
    cut = attempt(task, RulesPlayer(task), first_call_only=True)
    assert (cut.is_done, cut.is_first_try, cut.errors) == (False, False, 1)
    assert cut.messages[-1]["role"] == "tool"
    told = {"send_invoice": " Call `lock_invoice` before."}
    helped = attempt(task, RulesPlayer(task), notes=told, first_call_only=True)
    assert helped.is_first_try
    wrong = attempt(
        task,
        Says(
            made_of(task, "lock_invoice", invoice=task.values["invoice"]),
            made_of(task, "send_invoice", invoice=task.values["invoice"], client="another"),
        ),
        first_call_only=True,
    )
    assert not wrong.is_done


def test_a_model_behind_an_endpoint_works_in_the_world(model_server: ModelServer) -> None:
    task = tasks(FAMILIES[1])[0]
    order = task.values["order"]
    steps = [
        {"tool_calls": [{"name": "refund_order", "arguments": {"order_id": order, "amount": amount}}]}
        for amount in (task.values["euros"], task.values["cents"])
    ]
    agent = {"name": "refunds", "when": {"tools": ["refund_order"]}, "steps": [*steps, {"text": "Done."}]}
    model_server.scenarios = Scenarios.from_json({"agents": [agent]})
    with openai.OpenAI(base_url=model_server.base_url, api_key="none") as client:
        made = attempt(task, Endpoint(client, "any"), notes={"refund_order": " Note."})
    assert (made.is_done, made.is_first_try, made.calls, made.errors) == (True, False, 2, 1)
    assert made.tokens > 0
    assert made.messages[-1]["content"] == "Done."
    bodies = [request.body for request in model_server.requests]
    assert {(body["temperature"], body["max_tokens"], body["model"]) for body in bodies} == {(0, 160, "any")}
    assert bodies[0]["tools"][0]["function"]["description"] == "Refund a part of an order. Note."
    # What is sent first is the beginning of what is sent later, so that a cache of prompts is used.
    assert bodies[1]["messages"][:2] == bodies[0]["messages"]
    assert bodies[1]["tools"] == bodies[0]["tools"]


def test_a_note_is_added_to_its_tool_alone() -> None:
    one, other = (tool.schema for tool in FAMILIES[0].tools[:2])
    noted = with_notes(one, {"book_flight": " Note."})
    assert noted["function"]["description"] == "Book a flight. Note."
    assert one["function"]["description"] == "Book a flight."
    assert with_notes(other, {"book_flight": " Note."}) == other


def test_held_out_families_share_no_tool_and_no_wording_with_the_others() -> None:
    tools = [{tool.name for family in group for tool in family.tools} for group in (FAMILIES, HELD_OUT)]
    assert not tools[0] & tools[1]
    beginnings = [
        {re.split(r"[\s:(]", rule.error)[0] for family in group for rule in family.rules}
        for group in (FAMILIES, HELD_OUT)
    ]
    assert len(beginnings[1] - beginnings[0]) >= len(HELD_OUT) - 2


def test_nothing_but_benchmarks_uses_the_held_out_families() -> None:
    users = set()
    for folder in ("packages", "benchmarks", "examples", "scripts", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            if "held_out" in (source := path.read_text(encoding="utf-8")):
                names = {
                    f"{node.module}.{alias.name}"
                    for node in ast.walk(ast.parse(source))
                    if isinstance(node, ast.ImportFrom)
                    for alias in node.names
                }
                if any(name.startswith("kaizen.demo.world") and "held_out" in name for name in names):
                    users.add(str(path.relative_to(ROOT)))
    benchmarks = {"benchmarks/lift.py", "benchmarks/proof_world_tips.py", "benchmarks/tip_labels.py"}
    assert users == benchmarks | {"tests/demo/test_world.py"}
