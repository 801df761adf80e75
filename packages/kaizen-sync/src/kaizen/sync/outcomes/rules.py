"""How a run ended, and who says so: people, code and models that judged it, else the status of its spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kaizen.sync.model import ANY_NAME, OWN_NAME, TARGETS, Outcome, OutcomeRules

if TYPE_CHECKING:
    from kaizen.sync.model import Annotation, OutcomeName

# Whom to believe where they differ, and about what: the whole before a part of it.
_ANNOTATORS = ("HUMAN", "CODE", "LLM")


def verdict(annotation: Annotation, rules: OutcomeRules) -> OutcomeName:
    """Return what one annotation says of the run by these rules; Kaizen's own says nothing."""
    if annotation.name == OWN_NAME or annotation.annotator_kind not in _ANNOTATORS:
        return "unknown"
    if annotation.target == "span" and not (annotation.is_root or rules.include_inner_spans):
        return "unknown"
    if ANY_NAME not in rules.names and not _is_among(annotation.name, rules.names):
        return "unknown"
    if annotation.label:
        is_success = _is_among(annotation.label, rules.success_labels)
        is_failure = _is_among(annotation.label, rules.failure_labels)
        # A label in both lists, by somebody's settings, says nothing.
        if is_success != is_failure:
            return "success" if is_success else "failure"
    score = annotation.score
    # A score of 4 may be one of 5 or of 100.
    if score is None or (score > 1 and rules.success_score <= 1):
        return "unknown"
    if score >= rules.success_score:
        return "success"
    return "failure" if score <= rules.failure_score else "unknown"


def judged_outcome(
    annotations: Iterable[Annotation], otherwise: Outcome, rules: OutcomeRules | None = None
) -> Outcome:
    """Return what annotations say of a run: people before code before models, traces before their parts.

    Those of equal standing that contradict each other leave it unknown. `otherwise`, the outcome that the
    spans tell, is returned where no annotation counts.
    """
    rules = rules or OutcomeRules()
    verdicts: dict[tuple[int, int], list[tuple[OutcomeName, Annotation]]] = {}
    for annotation in annotations:
        name = verdict(annotation, rules)
        if name != "unknown":
            rank = _ANNOTATORS.index(annotation.annotator_kind), TARGETS.index(annotation.target)
            verdicts.setdefault(rank, []).append((name, annotation))
    if not verdicts:
        return otherwise
    # Sorted, so that the same annotations in another order give the same outcome.
    best = sorted(verdicts[min(verdicts)], key=lambda one: (one[0], one[1].name, repr(one[1])))
    name, annotation = best[0]
    judged_by = f"{annotation.annotator_kind} annotation '{annotation.name}' of the {annotation.target}"
    if any(other != name for other, _ in best):
        said = ", ".join(f"{one.name}: {other}" for other, one in best)
        detail = f"annotations contradict each other: {said}"
        return Outcome(judged_by=judged_by, detail=detail, annotator_kind=annotation.annotator_kind)
    return Outcome(
        name=name,
        judged_by=judged_by,
        detail=_detail(annotation),
        annotator_kind=annotation.annotator_kind,
    )


def story_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Return how a story of several traces, in order of time, ended: as the last one did.

    Annotations of any of them go before their spans: people before code before models, and of
    equals the last.
    """
    judged = [
        (-_ANNOTATORS.index(one.annotator_kind), number)
        for number, one in enumerate(outcomes)
        if one.annotator_kind
    ]
    return outcomes[max(judged)[1]] if judged else outcomes[-1]


def _is_among(word: str, words: Sequence[str]) -> bool:
    return _plain(word) in map(_plain, words)


def _plain(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")


def _detail(annotation: Annotation) -> str:
    score = "" if annotation.score is None else f"{annotation.score:g}"
    said = " ".join(filter(None, [annotation.label, score]))
    return ": ".join(filter(None, [said, annotation.explanation]))
