"""What is asked of a source about how traces ended, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from kaizen.sync import OutcomeRules
from kaizen.sync.model import Annotation, Outcome, Target
from kaizen.sync.outcomes.judge import Judge, Judgement, Subject, sort_annotations
from tests.support.listed import ListedSource
from tests.support.traces import TRACE_ID, llm, span, tool, trace, user

BY_SPANS = Outcome(name="failure", judged_by="status of AGENT span 'run'", detail="boom")


def says(label: str, **more: Any) -> Annotation:
    return Annotation(target=more.pop("target", "trace"), name="correctness", label=label, **more)


def a_run() -> Any:
    return trace(
        span("root", "AGENT", ends=5, attributes={"session.id": "s1"}),
        llm("call", [user("hi")], "hello", at=1, parent="root"),
        tool("tool", "look", at=2, parent="root"),
        llm("orphan", [user("hi")], "hello", at=3, parent="never arrived"),
    )


@pytest.mark.parametrize(
    ("rules", "span_ids"),
    [
        (OutcomeRules(), ("root", "orphan")),
        (OutcomeRules(include_inner_spans=True), ("root", "call", "tool", "orphan")),
    ],
)
def test_a_trace_is_asked_for_by_its_id_its_session_and_the_spans_that_count(
    rules: OutcomeRules, span_ids: tuple[str, ...]
) -> None:
    subject = Judge(ListedSource([]), rules).subject(a_run())
    assert subject == Subject(trace_id=TRACE_ID, session_id="s1", span_ids=span_ids)


def test_only_what_counts_is_heard_and_each_kind_is_asked_once() -> None:
    source = ListedSource([])
    source.said["trace", TRACE_ID] = [says("correct"), Annotation(target="trace", name="latency", score=1)]
    source.said["session", "s1"] = [says("incorrect", target="session", annotator_kind="LLM")]
    source.said["span", "orphan"] = [says("correct", target="span")]
    source.said["span", "call"] = [says("incorrect", target="span")]
    said = Judge(source, None).annotations_of([a_run()])
    assert [(one.target, one.label) for one in said[TRACE_ID]] == [
        ("trace", "correct"),
        ("session", "incorrect"),
        ("span", "correct"),
    ]
    assert source.asked == [("trace", [TRACE_ID]), ("session", ["s1"]), ("span", ["root", "orphan"])]


def test_a_kind_that_no_trace_has_is_not_asked_for() -> None:
    source = ListedSource([])
    subjects = [Subject(trace_id="a"), Subject(trace_id="b", session_id="s"), Subject(trace_id="c")]
    judge = Judge(source, None)
    assert judge.annotations("span", subjects) == {"a": [], "b": [], "c": []}
    judge.annotations("session", subjects)
    assert source.asked == [("session", ["s"])]


class PlainSource(ListedSource):
    """One that has no annotations."""

    annotations: Any = property()


def test_a_source_without_annotations_says_nothing() -> None:
    judge = Judge(PlainSource([]), None)
    assert judge.annotations_of([a_run()]) == {TRACE_ID: []}
    assert judge.requests == 0


@pytest.mark.parametrize("target", ["trace", "session", "span"])
def test_a_verdict_that_is_withdrawn_leaves_what_the_spans_tell(target: Target) -> None:
    before = Judgement(by_spans=BY_SPANS, annotations=(says("correct", target="span", annotator_kind="LLM"),))
    heard = before.with_annotations(target, [says("incorrect", target=target)])
    assert heard.outcome(OutcomeRules()).name == "failure"
    assert heard.outcome(OutcomeRules()).annotator_kind == "HUMAN"
    withdrawn = heard.with_annotations(target, [])
    if target == "span":
        assert withdrawn.outcome(OutcomeRules()) == BY_SPANS
    else:
        assert withdrawn == before


def test_the_order_in_which_things_are_said_makes_no_difference() -> None:
    said = [says("correct"), says("correct", score=1.0), says("incorrect", annotator_kind="LLM")]
    assert len({sort_annotations(order) for order in permutations(said)}) == 1


def test_a_judgement_is_read_back_as_it_was_kept() -> None:
    said: Sequence[Annotation] = [says("correct", score=0.5, explanation="why"), says("x", target="span")]
    judgement = Judgement(by_spans=BY_SPANS, annotations=tuple(said), span_ids=("a", "b"))
    assert Judgement.of_json(judgement.to_json()) == judgement
