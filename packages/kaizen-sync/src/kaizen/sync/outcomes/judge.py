"""Annotations that say how traces ended: asked of the source, kept with the record, made an outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import TARGETS, Annotation, Outcome, OutcomeRules
from kaizen.sync.outcomes.rules import judged_outcome, verdict
from kaizen.sync.sources.base import AnnotatedSource
from kaizen.sync.trajectory.build import session_id

if TYPE_CHECKING:
    from kaizen.sync.model import Target, Trace
    from kaizen.sync.sources.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A trace whose outcome is asked for: its session, if it has one, and the spans that speak for it."""

    trace_id: str
    session_id: str = ""
    span_ids: tuple[str, ...] = ()

    def ids(self, target: Target) -> tuple[str, ...]:
        """Return the ids to ask for."""
        if target == "span":
            return self.span_ids
        subject_id = self.trace_id if target == "trace" else self.session_id
        return (subject_id,) if subject_id else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a trace ended by its spans, and the annotations that count; `span_ids` are those asked for."""

    by_spans: Outcome
    annotations: tuple[Annotation, ...] = ()
    span_ids: tuple[str, ...] = ()

    def outcome(self, rules: OutcomeRules) -> Outcome:
        return judged_outcome(self.annotations, self.by_spans, rules)

    def with_annotations(self, target: Target, annotations: Sequence[Annotation]) -> Judgement:
        """Return the judgement with these annotations of the trace, of its session or of its spans."""
        others = [annotation for annotation in self.annotations if annotation.target != target]
        return replace(self, annotations=sort_annotations([*others, *annotations]))

    def to_json(self) -> dict[str, Any]:
        return {
            "by_spans": self.by_spans.to_json(),
            "said": [annotation.to_json() for annotation in self.annotations],
            "span_ids": list(self.span_ids),
        }

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Judgement:
        return cls(
            by_spans=Outcome(**value["by_spans"]),
            annotations=tuple(Annotation(**said) for said in value["said"]),
            span_ids=tuple(value["span_ids"]),
        )


def sort_annotations(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return the annotations in an order that does not depend on that in which they were given."""
    return tuple(sorted(annotations, key=repr))


class Judge:
    """Asks a source for annotations of traces; one that is no `AnnotatedSource` has none."""

    def __init__(self, source: Source, rules: OutcomeRules | None) -> None:
        self._source = source if isinstance(source, AnnotatedSource) else None
        self.rules = rules or OutcomeRules()

    @property
    def has_annotations(self) -> bool:
        """Whether the source keeps annotations at all."""
        return self._source is not None

    @property
    def requests(self) -> int:
        """How many requests the source has made so far, whatever for."""
        return self._source.requests if self._source else 0

    def subject(self, trace: Trace) -> Subject:
        """Return what to ask for of a trace: of its spans the roots, or all, as the rules say."""
        ids = {span.span_id for span in trace.spans}
        return Subject(
            trace_id=trace.trace_id,
            session_id=session_id(trace),
            span_ids=tuple(
                span.span_id
                for span in trace.spans
                if self.rules.include_inner_spans or span.parent_id not in ids
            ),
        )

    def annotations_of(self, traces: Sequence[Trace]) -> dict[str, list[Annotation]]:
        """Return the annotations that count, by trace id: of traces, their sessions and their spans."""
        subjects = [self.subject(trace) for trace in traces]
        found: dict[str, list[Annotation]] = {}
        for target in TARGETS:
            for trace_id, more in self.annotations(target, subjects).items():
                found.setdefault(trace_id, []).extend(more)
        return found

    def annotations(self, target: Target, subjects: Sequence[Subject]) -> dict[str, list[Annotation]]:
        """Return the annotations of that kind that count, by trace id, with an entry for each trace."""
        ids = dict.fromkeys(subject_id for subject in subjects for subject_id in subject.ids(target))
        found = self._source.annotations(target, list(ids)) if self._source and ids else {}
        return {
            subject.trace_id: [
                annotation
                for subject_id in subject.ids(target)
                for annotation in found.get(subject_id, ())
                if verdict(annotation, self.rules) != "unknown"
            ]
            for subject in subjects
        }
