"""The answers that models give, as pydantic types: their JSON schema goes along with the question."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from kaizen.sync.model import Category  # noqa: TC001 - pydantic reads it at run time


class _Answer(BaseModel):
    # Strict schemas must forbid other keys; an answer that has some is usable all the same.
    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})


class WordedTip(_Answer):
    """One tip as the model words it."""

    content: str
    category: Category
    rationale: str
    trigger: str
    implementation_steps: list[str]
    task_description: str
    quote: str


class TipsAnswer(_Answer):
    """The tips of one run; none is a good answer."""

    tips: list[WordedTip]


class Decision(_Answer):
    """What new tip number `new` is to known tip number `known`; `content` is the wording of a merge."""

    new: int
    decision: Literal["new", "duplicate", "merge", "contradicts"]
    known: int | None
    content: str | None


class DecisionsAnswer(_Answer):
    """One decision for each new tip."""

    decisions: list[Decision]
