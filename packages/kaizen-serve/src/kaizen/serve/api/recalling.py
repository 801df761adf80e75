"""Choose tips for a run of an agent that cannot use kaizen-recall, such as one in another language."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kaizen.recall import Budget, shared_words
from kaizen.serve.api import shapes
from kaizen.serve.api.operations import Asked, Operation, Taken
from kaizen.serve.recalling import choose_tips


class Recall(Taken):
    """What a run is about."""

    task: str = Field(max_length=100_000, description="What the user asks for.")
    tools: list[str | dict[str, Any]] | None = Field(
        default=None, max_length=1000, description="The tools that the agent has: names, or definitions."
    )
    instructions: str = Field(default="", max_length=200_000, description="The system prompt.")
    unit: str = Field(
        default="",
        max_length=200,
        description="The session or run, if tips may be held out from it: put `attributes` on its spans.",
    )
    max_tokens: int = Field(default=600, ge=0, le=100_000)


async def recall(asked: Asked) -> shapes.RecalledShape:
    given: Recall = asked.body
    choice = await choose_tips(
        asked.context,
        asked.namespace_id,
        given.task,
        given.tools,
        instructions=given.instructions,
        unit=given.unit,
        budget=Budget(tokens=given.max_tokens),
    )
    recalled = choice.recalled
    return shapes.RecalledShape(
        text=recalled.text,
        notes=dict(recalled.notes),
        full_text=recalled.full_text,
        shown=[tip.id for tip in recalled.shown],
        held_out=[tip.id for tip in recalled.held_out],
        considered=[shapes.Considered.of(c, shared_words(choice.request, c)) for c in choice.candidates],
        snapshot=recalled.snapshot,
        attributes=recalled.attributes() if given.unit else {},
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/recall",
        name="recall",
        summary="Choose the tips for a run.",
        scope="read",
        function=recall,
        gives=shapes.RecalledShape,
        body=Recall,
    ),
)
