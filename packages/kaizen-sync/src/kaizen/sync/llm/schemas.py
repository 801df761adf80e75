"""The answers that models give, as pydantic types: their JSON schema goes along with the question."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from kaizen.tips.tip import Category  # noqa: TC001 - pydantic reads it


def _strict(schema: dict[str, Any]) -> None:
    """Strict schemas demand every key and forbid others; an answer is usable all the same."""
    schema["additionalProperties"] = False
    schema["required"] = list(schema["properties"])


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra=_strict)


def _whole_numbers(value: Any) -> Any:
    """What is a number of a list; steps that are none say nothing, and spoil no answer."""
    numbers = value if isinstance(value, list) else [value]
    return [int(number) for number in numbers if str(number).isdecimal() and len(str(number)) < 10]


class WordedTip(_Answer):
    """One tip as the model words it; `steps` are the numbers of those that show it."""

    content: str
    category: Category
    rationale: str
    trigger: str
    implementation_steps: list[str]
    task_description: str
    steps: Annotated[list[int], BeforeValidator(_whole_numbers)] = Field(default_factory=list)
    quote: str


class TipsAnswer(_Answer):
    """The tips of one run; none is a good answer."""

    tips: list[WordedTip]


class WordedSegment(_Answer):
    """One of several tasks that a run worked on, by its first and last step."""

    first_step: int
    last_step: int
    task_description: str


class SegmentsAnswer(_Answer):
    """The tasks of one run, in order."""

    segments: list[WordedSegment]


class Decision(_Answer):
    """What new tip number `new` is to known tip number `known`; `content` is the wording of a merge."""

    new: int
    decision: Literal["new", "duplicate", "merge", "contradicts"]
    known: int | None
    content: str | None


class DecisionsAnswer(_Answer):
    """What each new tip is to the known ones, as far as they have to do with each other."""

    decisions: list[Decision]


class MergedTips(_Answer):
    """One wording for the tips with these numbers."""

    members: list[int]
    content: str
    trigger: str


class GroupsAnswer(_Answer):
    """Which of the tips shown are one lesson; none is a good answer."""

    groups: list[MergedTips]
