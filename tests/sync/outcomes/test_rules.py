"""How a run ended: what annotations say, whom to believe, and what the spans tell otherwise."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from kaizen.sync import OutcomeRules
from kaizen.sync.model import ANY_NAME, OWN_NAME, Annotation, Outcome
from kaizen.sync.outcomes.rules import judged_outcome, story_outcome

BY_SPANS = Outcome(name="failure", judged_by="status of AGENT span 'run'", detail="ValueError")


def says(name: str = "correctness", **more: Any) -> Annotation:
    return Annotation(target=more.pop("target", "trace"), name=name, **more)


def judged(*annotations: Annotation, rules: OutcomeRules | None = None) -> tuple[str, str]:
    outcome = judged_outcome(annotations, Outcome(), rules)
    return outcome.name, outcome.judged_by


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (says(label="correct"), "success"),
        (says(label=" Incorrect "), "failure"),
        (says(label="thumbs-up"), "success"),
        (says(label="Thumbs Down"), "failure"),
        (says(score=1.0), "success"),
        (says(score=0.7), "success"),
        (says(score=0.5), "unknown"),
        (says(score=0.3), "failure"),
        (says(score=-1.0), "failure"),
        (says(score=4.0), "unknown"),
        (says(score=0.0, label="correct"), "success"),
        (says(score=0.0, label="odd"), "failure"),
        (says(), "unknown"),
        (says("User Feedback", score=1.0), "success"),
        (says("latency", score=1.0), "unknown"),
        (says("kaizen", label="success"), "unknown"),
        (says("toxicity", label="no"), "unknown"),
        (says(label="correct", annotator_kind="ROBOT"), "unknown"),
        (says(label="correct", target="span", is_root=False), "unknown"),
        (says(label="correct", target="span"), "success"),
        (says(label="correct", target="session"), "success"),
    ],
)
def test_an_annotation_is_a_verdict_by_its_name_its_label_and_its_score(
    annotation: Annotation, name: str
) -> None:
    assert judged(annotation)[0] == name


def test_what_counts_and_what_it_means_can_be_set() -> None:
    rules = OutcomeRules(
        names=("stars",),
        success_score=4,
        failure_score=2,
        success_labels=("ship it",),
        failure_labels=("hold",),
        include_inner_spans=True,
    )

    assert judged(says("stars", score=4.5), rules=rules)[0] == "success"
    assert judged(says("stars", score=3), rules=rules)[0] == "unknown"
    assert judged(says("stars", score=2), rules=rules)[0] == "failure"
    assert judged(says("stars", label="Ship it"), rules=rules)[0] == "success"
    assert judged(says("stars", label="hold", target="span", is_root=False), rules=rules)[0] == "failure"
    assert judged(says("correctness", label="ship it"), rules=rules)[0] == "unknown"
    assert judged(says("anything", label="good"), rules=OutcomeRules(names=(ANY_NAME,)))[0] == "success"


@pytest.mark.parametrize(
    ("believed", "other"),
    [
        (says(label="fail", annotator_kind="HUMAN"), says(label="pass", annotator_kind="CODE")),
        (says(label="fail", annotator_kind="CODE"), says(label="pass", annotator_kind="LLM")),
        (
            says(label="fail", annotator_kind="HUMAN", target="span"),
            says(label="pass", annotator_kind="CODE", target="trace"),
        ),
        (says(label="fail", target="trace"), says(label="pass", target="session")),
        (says(label="fail", target="session"), says(label="pass", target="span")),
    ],
)
def test_people_are_believed_before_code_before_models_and_the_whole_before_a_part(
    believed: Annotation, other: Annotation
) -> None:
    expected = f"{believed.annotator_kind} annotation 'correctness' of the {believed.target}"

    assert judged(believed, other) == judged(other, believed) == ("failure", expected)


def test_annotations_of_equal_standing_that_contradict_each_other_leave_it_unknown() -> None:
    outcome = judged_outcome(
        [says(label="pass"), says("success", label="no"), says(label="good", annotator_kind="LLM")], BY_SPANS
    )

    assert outcome.name == "unknown"
    assert "contradict" in outcome.detail
    assert "success: failure" in outcome.detail


def test_the_order_of_annotations_does_not_matter() -> None:
    annotations = [
        says(label="pass", explanation="b"),
        says("success", score=0.9, explanation="a"),
        says(label="good", explanation="a"),
    ]

    assert len({judged_outcome(order, BY_SPANS) for order in permutations(annotations)}) == 1


def test_an_annotation_tells_what_it_said_and_why() -> None:
    outcome = judged_outcome(
        [says(label="fail", score=0.25, explanation="The order was not found.")], BY_SPANS
    )

    assert outcome == Outcome(
        name="failure",
        judged_by="HUMAN annotation 'correctness' of the trace",
        detail="fail 0.25: The order was not found.",
        annotator_kind="HUMAN",
    )


def test_without_an_annotation_that_counts_the_spans_tell() -> None:
    assert judged_outcome([], BY_SPANS) == BY_SPANS
    assert judged_outcome([says("latency", score=0.1)], BY_SPANS) == BY_SPANS


def test_what_kaizen_itself_says_never_counts() -> None:
    own = says(OWN_NAME, label="success", annotator_kind="CODE")
    assert judged(own, rules=OutcomeRules(names=(ANY_NAME,))) == ("unknown", "")


def by(kind: str, name: Any = "success") -> Outcome:
    return Outcome(name=name, annotator_kind=kind)


@pytest.mark.parametrize(
    ("outcomes", "number"),
    [
        ([Outcome(), BY_SPANS], 1),
        ([BY_SPANS, Outcome()], 1),
        ([by("LLM"), BY_SPANS], 0),
        ([by("HUMAN"), by("LLM"), by("CODE")], 0),
        ([by("HUMAN", "failure"), by("HUMAN"), Outcome()], 1),
        ([by("HUMAN", "unknown"), by("LLM")], 0),
    ],
)
def test_a_story_ended_as_its_last_trace_or_as_was_said_of_any(outcomes: list[Outcome], number: int) -> None:
    assert story_outcome(outcomes) is outcomes[number]
