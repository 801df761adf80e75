"""The evidence of new tips: which words in which span of which trace show them, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kaizen.store.ids import uuid7
from kaizen.sync.offline import PROMPT_VERSION
from kaizen.sync.prompting import TIPS_PROMPT
from kaizen.sync.reconcile import Learned
from kaizen.sync.records import StoredTip, TipSource
from kaizen.sync.settings import OFFLINE
from kaizen.sync.stories import joined
from kaizen.sync.tips import quoted_span
from kaizen.sync.tool_versions import tools_of
from kaizen.sync.trust import injection_attempt, quarantine_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaizen.sync.linking import Telling
    from kaizen.sync.model import Tip
    from kaizen.sync.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one run can say of the tips that it learns."""

    source: Source
    run_id: str
    model: str

    def details(self, redacted: Mapping[str, int]) -> dict[str, object]:
        """What the record of a trace keeps of how it was processed."""
        return {"run_id": self.run_id, **self._provenance(), "redacted": dict(redacted)}

    def learned(self, telling: Telling, tips: Sequence[Tip]) -> list[Learned]:
        """The tips of a story, each with what backs it."""
        return list(self._learned(telling, tips)) if tips else []

    def _learned(self, telling: Telling, tips: Sequence[Tip]) -> Iterator[Learned]:
        trajectories = telling.trajectories()
        trajectory, head = joined(trajectories), telling.story.head
        told_in = {m.span_id: one.trace_id for one in trajectories for m in one.all_messages()}
        injection = injection_attempt(trajectory)
        for tip in tips:
            span_id = quoted_span(trajectory, tip.quote)
            trace_id = told_in.get(span_id or "", head)
            source = TipSource(
                source=self.source.name,
                project=self.source.project,
                trace_id=trace_id,
                span_id=span_id or "",
                quote=tip.quote,
                outcome=trajectory.outcome.name,
                url=self.source.span_url(trace_id, span_id or ""),
                story_id=head,
                verified=span_id is not None,
                steps=tip.steps,
                is_suspect=bool(injection),
                tools=tools_of(_texts(tip), tip.quote, trajectory),
                models=trajectory.models,
            )
            reason = quarantine_reason(tip, is_quoted=span_id is not None, injection=injection)
            create = partial(
                StoredTip.create,
                uuid7(),
                tip,
                source,
                quarantine_reason=reason,
                provenance=self._provenance(),
            )
            yield Learned(tip=tip, source=source, create=create, quarantine_reason=reason)

    def _provenance(self) -> dict[str, str]:
        version = PROMPT_VERSION if self.model == OFFLINE else TIPS_PROMPT
        return {"model": self.model, "prompt_version": version}


def _texts(tip: Tip) -> tuple[str, ...]:
    return (tip.content, tip.trigger, *tip.implementation_steps)
