"""What was said of how traces ended: asked of the source, kept with the record, made an outcome."""

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
        """What to ask for."""
        if target == "span":
            return self.span_ids
        one = self.trace_id if target == "trace" else self.session_id
        return (one,) if one else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a trace ended by what its spans tell, and what was said of it that counts.

    `span_ids` are those whose annotations count.
    """

    by_spans: Outcome
    said: tuple[Annotation, ...] = ()
    span_ids: tuple[str, ...] = ()

    def outcome(self, rules: OutcomeRules) -> Outcome:
        return judged_outcome(self.said, self.by_spans, rules)

    def hearing(self, target: Target, said: Sequence[Annotation]) -> Judgement:
        """The judgement with what is said now of the trace, of its session or of its spans."""
        others = [one for one in self.said if one.target != target]
        return replace(self, said=in_order([*others, *said]))

    def to_json(self) -> dict[str, Any]:
        return {
            "by_spans": self.by_spans.to_json(),
            "said": [one.to_json() for one in self.said],
            "span_ids": list(self.span_ids),
        }

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Judgement:
        return cls(
            by_spans=Outcome(**value["by_spans"]),
            said=tuple(map(Annotation.of_json, value["said"])),
            span_ids=tuple(value["span_ids"]),
        )


def in_order(said: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Annotations in an order that does not depend on that in which they were given."""
    return tuple(sorted(said, key=repr))


class Judge:
    """Asks a source what was said of traces; one that has no annotations says nothing."""

    def __init__(self, source: Source, rules: OutcomeRules | None) -> None:
        self._source = source if isinstance(source, AnnotatedSource) else None
        self.rules = rules or OutcomeRules()

    @property
    def hears(self) -> bool:
        """Whether anything can be said in the source at all."""
        return self._source is not None

    @property
    def requests(self) -> int:
        """How many requests the source has made so far, whatever for."""
        return self._source.requests if self._source else 0

    def subject(self, trace: Trace) -> Subject:
        """What to ask for of a trace: of its spans the roots, or all, as the rules say."""
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

    def said_of(self, traces: Sequence[Trace]) -> dict[str, list[Annotation]]:
        """What is said of traces that counts, by trace id: of themselves, their sessions and their spans."""
        subjects = [self.subject(trace) for trace in traces]
        said: dict[str, list[Annotation]] = {}
        for target in TARGETS:
            for trace_id, more in self.said(target, subjects).items():
                said.setdefault(trace_id, []).extend(more)
        return said

    def said(self, target: Target, subjects: Sequence[Subject]) -> dict[str, list[Annotation]]:
        """What is said that counts, of that kind, by trace id; each of the traces is in it."""
        ids = dict.fromkeys(one for subject in subjects for one in subject.ids(target))
        found = self._source.annotations(target, list(ids)) if self._source and ids else {}
        return {
            subject.trace_id: [
                annotation
                for one in subject.ids(target)
                for annotation in found.get(one, ())
                if verdict(annotation, self.rules) != "unknown"
            ]
            for subject in subjects
        }
