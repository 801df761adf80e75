"""What recall wrote into a run is no part of it, and what it recorded says exactly which tips were shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.recall import marks
from kaizen.recall.tools import offered_tools
from kaizen.sync.model import Exposure, Trace, Trajectory
from kaizen.sync.trajectory import recalled
from kaizen.sync.trajectory.build import build_trajectory
from kaizen.sync.trajectory.stories import joined
from kaizen.sync.trajectory.tool_definitions import tool_versions
from tests.support.listed import ListedSource, one_call
from tests.support.syncing import make_sync, open_data_dir, records, tips
from tests.support.traces import llm, says, span, system, trace, user

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer

BLOCK = "<kaizen-tips>\nAdvice.\n- Write dates as 05JAN26.\n</kaizen-tips>"
NOTE = '[kaizen] Learned from earlier runs:\n- Say "why", always: \\o/\n[/kaizen]'
PARAMETERS = {"type": "object", "properties": {"day": {"type": "string"}}}


def stamped(unit: str = "u1", *, prefix: str = "kaizen.recall.", **values: Any) -> dict[str, Any]:
    given = {"shown": ["a@1", "b@2"], "held_out": ["c@1"], "p": {"a": 0.1, "c": 0.5}, **values}
    texts = {f"{prefix}{name}": json.dumps(value) for name, value in given.items()}
    return {**texts, f"{prefix}unit": unit, f"{prefix}snapshot": "digest"}


EXPOSURE = Exposure(
    unit="u1", shown=("a@1", "b@2"), held_out=("c@1",), p={"a": 0.1, "c": 0.5}, snapshot="digest"
)


def test_the_marks_are_those_of_recall() -> None:
    assert recalled.PATTERN == marks.PATTERN


def definition(description: str | None, *, wrapped: bool = True) -> dict[str, Any]:
    described = {} if description is None else {"description": description}
    function = {"name": "find", **described, "parameters": PARAMETERS}
    return {"type": "function", "function": function} if wrapped else {"type": "function", **function}


@pytest.mark.parametrize("description", ["Finds a train.", 'Finds.\n\nIn "Basel" only.', "", None])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_run_that_was_given_tips_is_the_run_that_it_is_without_them(
    description: str | None, wrapped: bool
) -> None:
    def told(instructions: str, described: str | None) -> Trajectory:
        offered = json.dumps(definition(described, wrapped=wrapped))
        given = [system(instructions), user("Find a train.")]
        attributes = {
            "llm.tools.0.tool.json_schema": offered,
            "input.value": json.dumps({"messages": given, "tools": [json.loads(offered)]}),
        }
        return build_trajectory(trace(llm("a", given, says("EC 51"), attributes=attributes)))

    without = told("You find trains.", description)
    given = told(f"You find trains.\n\n{BLOCK}", marks.add(description or "", NOTE))
    assert given.messages == without.messages
    assert tool_versions(given.tools) == tool_versions(without.tools)
    # Recall itself finds the same version in what is offered, before and after.
    assert offered_tools([definition(description, wrapped=wrapped)]) == tool_versions(without.tools)
    assert "kaizen" not in repr(given)


def test_a_system_message_that_was_only_tips_is_gone() -> None:
    given = build_trajectory(trace(llm("a", [system(BLOCK), user("Hello")], says("Hi"))))
    assert [message.role for message in given.messages] == ["user", "assistant"]


def test_tips_inside_json_inside_json_are_taken_out() -> None:
    inner = json.dumps({"messages": [{"role": "system", "content": f"S\n\n{BLOCK}"}]})
    attributes = {"input.value": json.dumps({"request": inner}), "list": [NOTE, 7]}
    (stripped,) = recalled.without_recalled(trace(span("a", "LLM", attributes=attributes))).spans
    assert json.loads(json.loads(stripped.attributes["input.value"])["request"]) == {
        "messages": [{"role": "system", "content": "S"}]
    }
    assert stripped.attributes["list"] == ["", 7]


def test_a_text_without_tips_stays_the_object_that_it_is() -> None:
    one = span("a", "LLM", attributes={"input.value": '{"kaizen": 1}'})
    assert recalled.without_recalled(trace(one)).spans[0] is one


@pytest.mark.parametrize(
    "attributes",
    [
        stamped(),
        stamped(prefix="metadata.kaizen.recall."),
        {"metadata": json.dumps({"user": "x", **stamped()})},
    ],
)
def test_the_exposure_is_read_wherever_it_was_recorded(attributes: dict[str, Any]) -> None:
    built = build_trajectory(trace(llm("a", [user("Hello")], says("Hi"), attributes=attributes)))
    assert built.exposures == (EXPOSURE,)
    assert built.exposures[0].shown_ids == {"a", "b"}
    assert Exposure.of_json(json.loads(json.dumps(EXPOSURE.to_json()))) == EXPOSURE


def test_a_unit_of_the_control_group_is_known() -> None:
    one = span("a", "LLM", attributes={**stamped(shown=[]), "kaizen.recall.control": "true"})
    assert [exposure.is_control for exposure in recalled.read_exposures(trace(one))] == [True]


@pytest.mark.parametrize(
    ("told", "attributes", "expected"),
    [
        ([system(BLOCK), user("Hello")], {}, True),
        (
            [user("Hello")],
            {"llm.tools.0.tool.json_schema": json.dumps(definition(f"Finds.\n\n{NOTE}"))},
            True,
        ),
        ([system(BLOCK), user("Hello")], stamped(), False),
        ([system("[kaizen] started"), user("What does <kaizen-tips> mean?")], {}, False),
    ],
)
def test_a_run_whose_tips_no_span_names_is_known(
    told: list[dict[str, Any]], attributes: dict[str, Any], expected: bool
) -> None:
    built = build_trajectory(trace(llm("a", told, says("Hi"), attributes=attributes)))
    assert built.has_unrecorded_tips is expected


def test_exposures_of_one_unit_are_one() -> None:
    spans = [
        llm("a", [user("1")], says("x"), attributes=stamped()),
        llm(
            "b",
            [user("2")],
            says("y"),
            at=2,
            attributes=stamped(shown=["a@1", "d@1"], held_out=[], p={"d": 0}),
        ),
        llm("c", [user("3")], says("z"), at=4, attributes=stamped("u2", shown=[], held_out=[], p={})),
    ]
    first, second = recalled.read_exposures(trace(*spans))
    assert (first.unit, first.shown, first.held_out) == ("u1", ("a@1", "b@2", "d@1"), ("c@1",))
    assert first.p == {"a": 0.1, "c": 0.5, "d": 0}
    assert (second.unit, second.shown) == ("u2", ())
    told = [build_trajectory(trace(one)) for one in spans[:2]]
    assert [exposure.shown for exposure in joined(told).exposures] == [("a@1", "b@2", "d@1")]


@pytest.mark.parametrize("value", ["", "[", "7", "null", '{"a": 1}', '[1, null, ["x"]]', None, 7])
def test_odd_attributes_say_nothing(value: Any) -> None:
    attributes = {"kaizen.recall.unit": "u1", "kaizen.recall.shown": value, "kaizen.recall.p": value}
    (exposure,) = recalled.read_exposures(trace(span("a", "LLM", attributes=attributes)))
    assert exposure.shown == exposure.held_out == ()
    assert not any(isinstance(p, str) for p in exposure.p.values())


# In a sync: the run repeats the lesson itself.


def repeated(trace_id: str, at: int, **attributes: Any) -> Trace:
    told = [{"role": "user", "content": f"Ask {trace_id} about LESSON-alpha."}]
    return one_call(trace_id, at, told, "-", **attributes)


def sync(tmp_path: Path, *traces: Trace) -> None:
    with open_data_dir(tmp_path) as store:
        make_sync(ListedSource(traces), store, full=True).run()


def tip_id(tmp_path: Path) -> str:
    with open_data_dir(tmp_path) as store:
        (entity,) = store.list("kaizen", type="guideline").entities
        return entity.id


@pytest.mark.parametrize(("arm", "support"), [("shown", 1), ("held_out", 2)])
def test_a_run_backs_a_tip_that_was_held_out_from_it_and_not_one_that_it_was_shown(
    arm: str, support: int, scripted: ModelServer, tmp_path: Path
) -> None:
    first = repeated("one", 0)
    sync(tmp_path, first)
    exposed = stamped(**{"shown": [], "held_out": [], "p": {}, arm: [f"{tip_id(tmp_path)}@1"]})
    sync(tmp_path, first, repeated("two", 60, **exposed))
    assert tips(tmp_path)["Remember alpha."]["support"] == support
    record = records(tmp_path)["two"]
    assert record["exposures"] == [
        {
            "unit": "u1",
            "shown": [],
            "held_out": [],
            "p": {},
            "snapshot": "digest",
            "is_control": False,
            arm: [f"{tip_id(tmp_path)}@1"],
        }
    ]
    if arm == "shown":
        assert (record["state"], record["reason"]) == ("no_lesson", "its tips were shown to the agent")
        assert record["shown_tip_ids"] == [tip_id(tmp_path)]
    else:
        assert record["state"] == "learned"
        assert record["shown_tip_ids"] == []


def test_a_tip_is_not_learned_from_its_own_note(scripted: ModelServer, tmp_path: Path) -> None:
    note = "[kaizen] Advice:\n- What LESSON-alpha says.\n[/kaizen]"
    told = [system("Work.\n\n<kaizen-tips>\n- LESSON-alpha\n</kaizen-tips>"), user("Go on.")]
    offered = {"llm.tools.0.tool.json_schema": json.dumps(definition(f"Finds.\n\n{note}"))}
    sync(tmp_path, one_call("one", 0, told, "-", **offered))
    assert tips(tmp_path) == {}
    with open_data_dir(tmp_path) as store:
        assert not [entity for entity in store.iterate("kaizen") if "alpha" in entity.content]
