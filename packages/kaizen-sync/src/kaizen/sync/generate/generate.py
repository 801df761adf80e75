"""Tips from one trajectory: the model words them, Kaizen checks what it can check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.sync.generate.ask import ask_about
from kaizen.sync.generate.checks import Generated, checked
from kaizen.sync.generate.prompt import TIPS_PROMPT, in_data
from kaizen.sync.generate.segments import segments
from kaizen.tips.tip import Tip

if TYPE_CHECKING:
    from kaizen.sync.generate.prompt import Segment
    from kaizen.sync.llm.client import Model
    from kaizen.sync.model import Trajectory

ANSWER_NAME = "kaizen_tips"

_QUOTE_CHARS = 1_000
_WORD = re.compile(r"\w+")
# What the prompt writes before a message or a call is no part of it.
_MARK = re.compile(r"\s*\[[0-9a-f]{8} [^\]\n]{1,300}\]")


def generate_tips(trajectory: Trajectory, model: Model) -> Generated:
    """What the run teaches: no tip, or a few. `trajectory` must be redacted already.

    A long run of several tasks is asked about task by task, where that is enabled. Raises `ModelError` where
    the model gives no usable answer, which is not the same as no tips.
    """
    if model.is_offline:
        from kaizen.sync.generate.offline import mine_tips

        worded = mine_tips(trajectory)
    else:
        parts: list[Segment | None] = [*segments(trajectory, model)] or [None]
        worded = [tip for part in parts for tip in _worded(trajectory, model, part)]
    return checked((_grounded(trajectory, tip) for tip in worded), trajectory)


def _worded(trajectory: Trajectory, model: Model, segment: Segment | None) -> Iterator[Tip]:
    from kaizen.sync.llm.schemas import TipsAnswer

    answer = ask_about(
        trajectory, model, prompt=TIPS_PROMPT, answer=TipsAnswer, name=ANSWER_NAME, segment=segment
    )
    described = segment.task_description if segment else ""
    for worded in answer.tips:
        yield Tip(
            content=worded.content.strip(),
            category=worded.category,
            rationale=worded.rationale.strip(),
            trigger=worded.trigger.strip(),
            implementation_steps=tuple(filter(None, map(str.strip, worded.implementation_steps))),
            task_description=described or worded.task_description.strip(),
            quote=worded.quote.strip()[:_QUOTE_CHARS],
            steps=tuple(worded.steps),
        )


def _grounded(trajectory: Trajectory, tip: Tip) -> Tip:
    """The tip with the steps that there are, and the one that its quote is in."""
    last = len(trajectory.all_messages())
    steps = {*tip.steps, quoted_step(trajectory, tip.quote) or 0}
    return replace(tip, steps=tuple(sorted(step for step in steps if 1 <= step <= last)))


def quoted_span(trajectory: Trajectory, quote: str) -> str | None:
    """The id of the span whose message holds the quote (white space folded); None where none does."""
    step = quoted_step(trajectory, quote)
    if step is not None:
        return trajectory.all_messages()[step - 1].span_id
    wanted = " ".join(quote.split())
    if wanted and any(wanted in _shown(error) for error in trajectory.errors):
        return trajectory.messages[-1].span_id if trajectory.messages else ""
    return None


def quoted_step(trajectory: Trajectory, quote: str) -> int | None:
    """The number of the first message that holds the quote (white space folded); None where none does."""
    found = _step_with(trajectory, quote)
    if found is None and (mark := _MARK.match(quote)):
        return _step_with(trajectory, quote[mark.end() :])
    return found


def _step_with(trajectory: Trajectory, quote: str) -> int | None:
    wanted = _shown(quote)
    if not wanted:
        return None
    # Looking for one word first spares folding what cannot hold the quote, however long the run is.
    longest = max(_WORD.findall(wanted), key=len, default="")
    return next(
        (
            step
            for step, message in enumerate(trajectory.all_messages(), 1)
            for text in (message.content, *(f"{c.name}({c.arguments})" for c in message.tool_calls))
            if longest in text and wanted in _shown(text)
        ),
        None,
    )


def _shown(text: str) -> str:
    return " ".join(in_data(text).split())
