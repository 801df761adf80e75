"""Tips from one trajectory: the model words them, Kaizen checks what it can check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.model import Tip
from kaizen.sync.prompting import TIPS_PROMPT, load_prompt, render_trajectory

if TYPE_CHECKING:
    from kaizen.sync.llm import Model
    from kaizen.sync.model import Trajectory

ANSWER_NAME = "kaizen_tips"


def generate_tips(trajectory: Trajectory, model: Model) -> list[Tip]:
    """What the run teaches: no tip, or a few. `trajectory` must be redacted already.

    Raises `ModelError` where the model gives no usable answer, which is not the same as no tips.
    """
    if model.is_offline:
        from kaizen.sync.offline import mine_tips

        return mine_tips(trajectory)
    from kaizen.sync.answers import TipsAnswer

    answer = model.ask(
        system=load_prompt(TIPS_PROMPT),
        user=render_trajectory(trajectory),
        answer=TipsAnswer,
        name=ANSWER_NAME,
    )
    tips: dict[str, Tip] = {}
    for worded in answer.tips:
        tip = Tip(
            content=worded.content.strip(),
            category=worded.category,
            rationale=worded.rationale.strip(),
            trigger=worded.trigger.strip(),
            implementation_steps=tuple(filter(None, map(str.strip, worded.implementation_steps))),
            task_description=worded.task_description.strip(),
            quote=worded.quote.strip(),
        )
        if tip.content:
            tips.setdefault(fold(tip.content), tip)
    return list(tips.values())


def fold(text: str) -> str:
    """The text as it is compared: case, white space and closing punctuation do not count."""
    return " ".join(text.split()).rstrip(".! ").casefold()


def quoted_span(trajectory: Trajectory, quote: str) -> str | None:
    """The id of the span whose message holds the quote (white space folded); None where none does."""
    # What the prompt writes before a call is no part of it.
    wanted = " ".join(quote.split()).removeprefix("-> calls ")
    if not wanted:
        return None
    for message in trajectory.all_messages():
        texts = [message.content, *(f"{call.name}({call.arguments})" for call in message.tool_calls)]
        if any(wanted in " ".join(text.split()) for text in texts):
            return message.span_id
    if any(wanted in " ".join(error.split()) for error in trajectory.errors):
        return trajectory.messages[-1].span_id if trajectory.messages else ""
    return None
