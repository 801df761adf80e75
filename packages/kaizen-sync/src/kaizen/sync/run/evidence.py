"""The evidence of new tips: which words in which span of which trace show them, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kaizen.store import uuid7
from kaizen.sync.generate.grounding import quoted_span, quoted_step
from kaizen.sync.generate.offline import PROMPT_VERSION, is_mined
from kaizen.sync.generate.offline.calls import is_read_only, read_calls
from kaizen.sync.generate.offline.claims import past_calls
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.generate.prompt import TIPS_PROMPT
from kaizen.sync.knowledge.reconcile import NewTip
from kaizen.sync.settings import OFFLINE
from kaizen.sync.trajectory.failures import read_failure
from kaizen.sync.trajectory.stories import joined
from kaizen.sync.trajectory.tool_definitions import tools_of
from kaizen.sync.trust import injection_attempt, is_of_a_stranger, quarantine_reason
from kaizen.tips.evidence import TipSource
from kaizen.tips.text import fold
from kaizen.tips.tip import StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaizen.sync.generate.offline.claims import PastCall
    from kaizen.sync.knowledge.shown import KnownTips, Shown
    from kaizen.sync.model import Failure, Message, Trajectory
    from kaizen.sync.run.stories import LinkedStory
    from kaizen.sync.sources.base import Source
    from kaizen.tips.tip import Tip

_REQUEST_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Makes the evidence of the tips that one run learns."""

    source: Source
    run_id: str
    model: str
    is_relearned: bool = False

    def details(self, redacted: Mapping[str, int]) -> dict[str, object]:
        """Return what the record of a trace keeps of how it was processed."""
        relearned = {"relearned": True} if self.is_relearned else {}
        return {"run_id": self.run_id, **self._provenance(), "redacted": dict(redacted), **relearned}

    def shown(self, linked: LinkedStory, known: KnownTips) -> list[Shown]:
        """Return the known tips that the agent was shown in each trace of the story."""
        return [known.shown_in(one, linked.start_time(one.trace_id)) for one in linked.trajectories()]

    def calls(self, linked: LinkedStory) -> list[list[PastCall]]:
        """Return the calls of the story by conversation."""
        return list(map(past_calls, call_logs(linked.trajectory())))

    def request(self, linked: LinkedStory) -> str:
        """Return the beginning of what the user asked for first."""
        messages = linked.trajectory_of(linked.story.told_by[0]).messages
        return next((message.content for message in messages if message.role == "user"), "")[:_REQUEST_CHARS]

    def learned(self, linked: LinkedStory, tips: Sequence[Tip], shown: Sequence[Shown]) -> Iterator[NewTip]:
        """Yield the tips of a story with what backs them, but for those that the agent was shown."""
        if not tips:
            return
        head, outcome = linked.story.head, linked.outcome
        shown_texts = {fold(tip.content) for one in shown for tip in one.tips}
        trajectories = linked.trajectories()
        trajectory = joined(trajectories)
        injection = injection_attempt(trajectory)
        shown_ids = frozenset[str]().union(*(one.shown_ids for one in trajectory.exposures))
        # They may have been merged into another tip since.
        merged = {tip.merged_into for one in shown for tip in one.tips if tip.id in shown_ids}
        for tip in tips:
            # Not in what the agent was shown: a tip must not be its own evidence.
            place = _place([one.rest for one in shown], tip.quote)
            if place is None and (
                fold(tip.content) in shown_texts or _place(trajectories, tip.quote) is not None
            ):
                continue
            trace_id, span_id = place or (head, None)
            of_a_stranger = only_strangers_say(trajectory, tip.quote)
            source = TipSource(
                source=self.source.name,
                project=self.source.project,
                trace_id=trace_id,
                span_id=span_id or "",
                quote=tip.quote,
                outcome=outcome.name,
                judged_by=outcome.judged_by,
                url=self.source.span_url(trace_id, span_id or ""),
                story_id=head,
                verified=span_id is not None,
                steps=tip.steps,
                is_suspect=bool(injection) or of_a_stranger,
                tools=tools_of(_texts(tip), tip.quote, trajectory),
                models=trajectory.models,
            )
            reason = quarantine_reason(
                tip, is_quoted=span_id is not None, injection=injection, is_of_a_stranger=of_a_stranger
            )
            create = partial(self._create, tip, source, reason)
            yield NewTip(
                tip=tip, source=source, create=create, quarantine_reason=reason, shown_ids=shown_ids | merged
            )

    def _create(self, tip: Tip, source: TipSource, quarantine_reason: str) -> StoredTip:
        # The id only now: ids are sorted as tips are committed, however long their traces took.
        return StoredTip.create(
            uuid7(), tip, source, quarantine_reason=quarantine_reason, provenance=self._provenance(tip)
        )

    def _provenance(self, tip: Tip | None = None) -> dict[str, str]:
        """Return what worded a tip: where a model said less than the run shows, that is not the model."""
        if self.model == OFFLINE or (tip and is_mined(tip)):
            return {"model": OFFLINE, "prompt_version": PROMPT_VERSION}
        return {"model": self.model, "prompt_version": (tip and tip.prompt_version) or TIPS_PROMPT}


def only_strangers_say(trajectory: Trajectory, quote: str) -> bool:
    """Return whether the quote is first said by text that a tool only fetched."""
    step = quoted_step(trajectory, quote)
    if step is None:
        return False
    messages = trajectory.all_messages()
    message = messages[step - 1]
    asked = (call for before in messages[: step - 1] for call in before.tool_calls)
    call = next((call for call in asked if call.id == message.tool_call_id), None)
    return is_of_a_stranger(message, call, quote, _failure_in(messages, step - 1))


def _failure_in(messages: tuple[Message, ...], position: int) -> Failure | None:
    """Return the error that a result is; a look-up returns texts, so that of one only its form counts."""
    answered = (call for call in read_calls(messages) if call.answered_at == position)
    if (call := next(answered, None)) is None:
        return read_failure(messages[position].content)
    is_told = call.failure is not None and (call.failure.is_sure or not is_read_only(call.tool))
    return call.failure if is_told else None


def _texts(tip: Tip) -> tuple[str, ...]:
    return (tip.content, tip.trigger, *tip.implementation_steps)


def _place(trajectories: Sequence[Trajectory], quote: str) -> tuple[str, str] | None:
    """Return the trace and the span that hold the quote; None if none does."""
    for trajectory in trajectories:
        span_id = quoted_span(trajectory, quote)
        if span_id is not None:
            return trajectory.trace_id, span_id
    return None
